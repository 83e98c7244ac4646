//! The commands of `xl`: arguments, words and exit codes as xl 4.17 has them.
//!
//! Options are read as getopt reads them (also after arguments, `--` ends them) and further
//! arguments are ignored, as xl does (T38).

use nix::unistd::geteuid;

use super::acts::{ask, create_command, destroy_command, dump_core, pause, receive, rename};
use super::listing::{self, Row};
use super::state::State;
use super::{create, err, faults, long, out, usage};

/// Runs one command; the answer is the exit code.
pub fn run(args: &[String]) -> i32 {
    if !geteuid().is_root() {
        err("xencall: error: Could not obtain handle on privileged command interface: Permission \
             denied\n\
             libxl: error: libxl.c:102:libxl_ctx_alloc: cannot open libxc handle: Permission \
             denied\n\
             cannot init xl context\n");
        return 1;
    }
    let global = args.iter().take_while(|arg| ["-v", "-f", "-t", "-T", "-N"].contains(&&***arg));
    let Some((command, rest)) = args.get(global.count()..).and_then(<[_]>::split_first) else {
        out("Usage xl [-vfNtT] <subcommand> [args]\n\n");
        return 1;
    };
    faults::xenstored();
    let done = match command.as_str() {
        "list" | "ls" => list(rest),
        "vm-list" => {
            listing::delay();
            listing::snapshot().map(|rows| listing::print(&listing::vm_table(&rows)))
        }
        "uptime" => listing::uptimes().map(|table| {
            out(&table);
            0
        }),
        "create" => create_command(rest),
        // What the receiving side of a migration runs; see `stand-in row`.
        "migrate-receive" => receive(),
        "info" => State::look().map(|state| {
            let used: u64 = state.all().iter().map(|record| record.mem).sum();
            let total = create::MEMORY + listing::DOM0_MEMORY;
            out(&usage::info(create::MEMORY.saturating_sub(used), total));
            0
        }),
        "destroy" | "domid" | "domname" | "pause" | "unpause" | "rename" | "shutdown"
        | "reboot" | "dump-core" => named(command, rest),
        _ => {
            err("command not implemented\n");
            Ok(1)
        }
    };
    done.unwrap_or_else(|error| {
        err(&error);
        1
    })
}

/// Options and arguments, told apart as getopt does.
pub fn split(args: &[String]) -> (Vec<&str>, Vec<&str>) {
    let (mut options, mut words, mut only_words) = (Vec::new(), Vec::new(), false);
    for arg in args {
        match arg.as_str() {
            "--" if !only_words => only_words = true,
            option if !only_words && option.len() > 1 && option.starts_with('-') => {
                options.push(option);
            }
            word => words.push(word),
        }
    }
    (options, words)
}

fn list(args: &[String]) -> Result<i32, String> {
    let (options, words) = split(args);
    let has = |short: char, long: &str| {
        options
            .iter()
            .any(|option| *option == long || (!option.starts_with("--") && option.contains(short)))
    };
    if words.len() > 1 {
        out(&usage::of("list"));
        return Ok(1);
    }
    listing::delay();
    let only = match words.first() {
        Some(word) => {
            let id = find(word)?;
            let known = id == 0 || State::look()?.get(id).is_some();
            if !known {
                return Err(format!("Error: Domain '{word}' does not exist.\n"));
            }
            Some(id)
        }
        None => None,
    };
    if has('l', "--long") {
        let mut records = State::look()?.all();
        records.retain(|record| only.is_none_or(|id| record.id == id));
        return Ok(long::print(&records, only.is_none_or(|id| id == 0)));
    }
    let mut rows = listing::snapshot()?;
    rows.retain(|row: &Row| only.is_none_or(|id| row.id == id));
    Ok(listing::print(&listing::table(&rows, has('v', "--verbose"))))
}

/// A domid from a domid or a name: digits are a domid whatever the names are (T72).
pub fn find(word: &str) -> Result<u32, String> {
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(word.parse().unwrap_or(u32::MAX));
    }
    let found = name_to_domid(word)?;
    found.ok_or_else(|| format!("{word} is an invalid domain identifier (rc=-6)\n"))
}

fn name_to_domid(name: &str) -> Result<Option<u32>, String> {
    let found = State::look()?.named(name).map(|record| record.id);
    Ok(found.or((name == "Domain-0").then_some(0)))
}

fn named(command: &str, args: &[String]) -> Result<i32, String> {
    let (options, words) = split(args);
    if options.contains(&"-h") || options.contains(&"--help") {
        out(&usage::of(command));
        return Ok(0);
    }
    let needed = if matches!(command, "rename" | "dump-core") { 2 } else { 1 };
    if words.len() < needed {
        let plural = if needed > 1 { "s" } else { "" };
        err(&format!("'xl {command}' requires at least {needed} argument{plural}.\n\n"));
        out(&usage::of(command));
        return Ok(2);
    }
    let word = words.first().copied().unwrap_or_default();
    match command {
        "domid" => match name_to_domid(word)? {
            Some(id) => out(&format!("{id}\n")),
            None => {
                return Err(format!(
                    "Can't get domid of domain name '{word}', maybe this domain does not exist.\n"
                ));
            }
        },
        "domname" => {
            let id = word.parse().map_err(|_| "Invalid domain id.\n\n")?;
            let name = State::look()?.get(id).and_then(|record| record.name);
            match name.or_else(|| (id == 0).then(|| "Domain-0".to_owned())) {
                Some(name) => out(&format!("{name}\n")),
                None => {
                    return Err(format!(
                        "Can't get domain name of domain id '{id}', maybe this domain does not \
                         exist.\n"
                    ));
                }
            }
        }
        "destroy" => return destroy_command(find(word)?, options.contains(&"-f")),
        "pause" | "unpause" => pause(find(word)?, command == "pause")?,
        "dump-core" => dump_core(find(word)?, words.get(1).copied().unwrap_or_default())?,
        "rename" => rename(word, words.get(1).copied().unwrap_or_default())?,
        _ => return ask(command, find(word)?),
    }
    Ok(0)
}
