//! Files of every kind, owner and mode, and one that is written while it is read.

use super::*;
use nix::unistd::{geteuid, mkfifo};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::time::Instant;

fn me() -> u32 {
    geteuid().as_raw()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn room() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alpha.toml");
    fs::write(&file, "text").unwrap();
    mode(dir.path(), 0o755);
    mode(&file, 0o644);
    (dir, file)
}

fn told(path: &Path, cap: u64) -> (String, String) {
    let error = read_of(path, cap, Some(me())).unwrap_err();
    (error.to_string(), error.hint())
}

#[test]
fn a_file_that_is_the_owners_alone_is_read() {
    let (_dir, file) = room();
    assert_eq!(read_of(&file, 4, Some(me())).unwrap(), "text");
}

#[test]
fn a_missing_file_and_a_missing_directory_are_told_from_broken_ones() {
    let (dir, file) = room();
    fs::remove_file(&file).unwrap();
    assert!(read_of(&file, 9, Some(me())).unwrap_err().is_missing());
    assert!(read_of(&dir.path().join("no/alpha.toml"), 9, Some(me())).unwrap_err().is_missing());
}

#[test]
fn what_others_can_write_is_refused_with_the_command_that_mends_it() {
    let (dir, file) = room();
    for loose in [0o664, 0o646, 0o666] {
        mode(&file, loose);
        let (message, hint) = told(&file, 9);
        assert!(message.contains(&format!("mode {loose:04o}")), "{message}");
        assert_eq!(hint, format!("chmod go-w {}", file.display()));
    }
    mode(&file, 0o644);
    mode(dir.path(), 0o775);
    assert_eq!(told(&file, 9).1, format!("chmod go-w {}", dir.path().display()));
}

#[test]
fn what_belongs_to_somebody_else_is_refused() {
    let (dir, file) = room();
    let error = read_of(&file, 9, Some(me() + 1)).unwrap_err();
    assert!(error.to_string().contains("belongs to the user id"), "{error}");
    assert_eq!(error.path(), dir.path());
    assert!(error.hint().starts_with("chown "));
}

#[test]
fn links_pipes_sockets_and_directories_are_refused_at_once() {
    let (dir, file) = room();
    let link = dir.path().join("link.toml");
    symlink(&file, &link).unwrap();
    assert!(told(&link, 9).0.contains("symbolic link"));
    let pipe = dir.path().join("pipe.toml");
    mkfifo(&pipe, Mode::from_bits_truncate(0o644)).unwrap();
    assert!(told(&pipe, 9).0.contains("not a regular file"));
    let socket = dir.path().join("socket.toml");
    let _listener = UnixListener::bind(&socket).unwrap();
    assert!(told(&socket, 9).0.contains("not a regular file"));
    let inner = dir.path().join("dir.toml");
    fs::create_dir(&inner).unwrap();
    assert!(told(&inner, 9).0.contains("not a regular file"));
}

/// Who owns a draft and its directory does not matter; everything else does.
#[test]
fn a_draft_may_be_anybodys() {
    let (dir, file) = room();
    for path in [dir.path(), &file] {
        mode(path, 0o777);
    }
    assert_eq!(read_of(&file, 4, None).unwrap(), "text");
    let link = dir.path().join("link.toml");
    symlink(&file, &link).unwrap();
    let pipe = dir.path().join("pipe.toml");
    mkfifo(&pipe, Mode::from_bits_truncate(0o666)).unwrap();
    for (path, why) in [(&link, "symbolic link"), (&pipe, "not a regular file")] {
        let error = read_draft(path, 9).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert!(read_draft(&file, 3).unwrap_err().to_string().contains("longer than 3 bytes"));
}

#[test]
fn a_file_that_is_written_meanwhile_is_not_believed() {
    use std::io::Write as _;
    use std::sync::atomic::{AtomicBool, Ordering};
    let (_dir, file) = room();
    let done = AtomicBool::new(false);
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = fs::OpenOptions::new().append(true).open(&file).unwrap();
            while !done.load(Ordering::Relaxed) {
                writer.write_all(b"more of it, without end\n").unwrap();
                // Long enough for a read of it to take its time.
                if writer.metadata().unwrap().len() > 1 << 20 {
                    writer.set_len(1 << 19).unwrap();
                }
            }
        });
        // It is changed during one read, sooner or later. During each of the five that make up a whole one
        // it is only where nothing else wants the processor.
        let until = Instant::now() + Duration::from_secs(60);
        let tries = std::iter::repeat(()).take_while(|()| Instant::now() < until);
        let refused = tries.map(|()| read_once(&file, 1 << 21, None)).find_map(Result::err);
        done.store(true, Ordering::Relaxed);
        refused.unwrap()
    });
    assert!(error.to_string().ends_with("was changed while it was read"), "{error}");
    assert!(error.hint().contains("ask again"));
    assert!(read_draft(&file, 1 << 21).is_ok(), "as soon as nobody writes");
}

#[test]
fn long_files_and_other_bytes_than_utf8_are_refused() {
    let (_dir, file) = room();
    assert!(told(&file, 3).0.contains("longer than 3 bytes"));
    fs::write(&file, b"ab\xff").unwrap();
    assert!(told(&file, 9).0.contains("from byte 2 on"));
}
