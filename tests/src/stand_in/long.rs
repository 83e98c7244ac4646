//! `xl list -l`: JSON without states, in yajl's layout (T02); a corpse is left out (T83).

use std::fmt::Write;

use super::listing::DOM0_MEMORY;
use super::state::Record;
use super::{err, listing};

enum Json {
    Bare(String),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(&'static str, Json)>),
}

use Json::{Bare, List, Map, Text};

/// Prints the domains, Domain-0 first if wanted; the answer is the exit code.
pub fn print(records: &[Record], dom0: bool) -> i32 {
    let mut all: Vec<Json> = if dom0 { vec![domain_0()] } else { Vec::new() };
    for record in records {
        if record.name.is_none() {
            err(&format!(
                "libxl: error: libxl_domain.c:2335:retrieve_domain_configuration_lock_acquired: \
                 Domain {}:Fail to get domain configuration\n",
                record.id
            ));
            continue;
        }
        all.push(domain(record));
    }
    let mut text = String::new();
    write(&List(all), 0, &mut text);
    listing::print(&format!("{text}\n\n"))
}

fn number(value: u64) -> Json {
    Bare(value.to_string())
}

fn text(value: &str) -> Json {
    Text(value.to_owned())
}

fn scheduler() -> Json {
    Map(vec![("sched", text("credit2")), ("weight", number(256)), ("cap", number(0))])
}

fn domain_0() -> Json {
    let kb = DOM0_MEMORY * 1024;
    Map(vec![
        ("domid", number(0)),
        (
            "config",
            Map(vec![
                ("c_info", Map(vec![("type", text("pv")), ("name", text("Domain-0"))])),
                (
                    "b_info",
                    Map(vec![
                        ("max_memkb", number(kb)),
                        ("target_memkb", number(kb - 1)),
                        ("sched_params", scheduler()),
                        ("type.pv", Map(vec![])),
                        ("arch_arm", Map(vec![])),
                        ("arch_x86", Map(vec![])),
                    ]),
                ),
            ]),
        ),
    ])
}

fn domain(record: &Record) -> Json {
    let config = &record.config;
    let (kind, per_kind) = if config.hvm { ("hvm", "type.hvm") } else { ("pv", "type.pv") };
    let disks = config.disks.iter().map(|disk| {
        Map(vec![
            ("pdev_path", text(&disk.path)),
            ("vdev", text(&disk.vdev)),
            ("format", text("raw")),
            ("readwrite", number(u64::from(disk.writable))),
            ("colo_restore_enable", text("False")),
        ])
    });
    let kb = config.memory * 1024;
    let c_info = vec![
        ("type", text(kind)),
        ("name", text(record.name.as_deref().unwrap_or_default())),
        ("domid", number(u64::from(u32::MAX))),
        ("uuid", text(&record.uuid)),
        ("run_hotplug_scripts", text("True")),
    ];
    let mut b_info = vec![
        ("max_vcpus", number(u64::from(config.vcpus))),
        ("avail_vcpus", List((0..config.vcpus).map(|n| number(u64::from(n))).collect())),
        ("max_memkb", number(kb)),
        ("target_memkb", number(kb)),
        ("video_memkb", number(0)),
        ("sched_params", scheduler()),
        ("claim_mode", text("True")),
        ("kernel", text(&config.kernel)),
        ("cmdline", text(&config.extra)),
    ];
    b_info.extend(config.ramdisk.iter().map(|ramdisk| ("ramdisk", text(ramdisk))));
    b_info.extend([
        (per_kind, Map(vec![])),
        ("arch_arm", Map(vec![])),
        ("arch_x86", Map(vec![("msr_relaxed", text("False"))])),
    ]);
    let mut all = vec![("c_info", Map(c_info)), ("b_info", Map(b_info))];
    if !config.disks.is_empty() {
        all.push(("disks", List(disks.collect())));
    }
    all.push(("on_reboot", text(&config.on_reboot)));
    all.push(("on_soft_reset", text("soft_reset")));
    Map(vec![("domid", number(u64::from(record.id))), ("config", Map(all))])
}

fn write(value: &Json, depth: usize, to: &mut String) {
    let inner = "    ".repeat(depth + 1);
    let outer = "    ".repeat(depth);
    match value {
        Bare(bare) => to.push_str(bare),
        Text(text) => {
            let _ = write!(to, "{}", serde_json::Value::from(text.as_str()));
        }
        List(items) => {
            to.push_str("[\n");
            for (n, item) in items.iter().enumerate() {
                to.push_str(&inner);
                write(item, depth + 1, to);
                to.push_str(if n + 1 < items.len() { ",\n" } else { "" });
            }
            let _ = write!(to, "\n{outer}]");
        }
        Map(items) => {
            to.push_str("{\n");
            for (n, (key, item)) in items.iter().enumerate() {
                let _ = write!(to, "{inner}\"{key}\": ");
                write(item, depth + 1, to);
                to.push_str(if n + 1 < items.len() { ",\n" } else { "" });
            }
            let _ = write!(to, "\n{outer}}}");
        }
    }
}
