//! A host's files, in memory: names, contents, locks. They outlive every broker and no schedule.

use std::collections::BTreeMap;

/// A file or directory.
#[derive(Clone, Default)]
pub struct Inode {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// The open file that has it locked.
    pub locked: Option<u64>,
}

/// Everything that is stored on a host.
#[derive(Clone, Default)]
pub struct Disk {
    names: BTreeMap<String, usize>,
    inodes: Vec<Inode>,
}

impl Disk {
    /// The inode of this name.
    pub fn find(&self, path: &str) -> Option<usize> {
        self.names.get(path).copied()
    }

    /// An inode.
    pub fn inode(&mut self, number: usize) -> &mut Inode {
        &mut self.inodes[number]
    }

    /// Whether this is a directory.
    pub fn is_dir(&self, path: &str) -> bool {
        self.find(path).is_some_and(|number| self.inodes[number].is_dir)
    }

    /// Makes a file or directory. What had the name before loses it.
    pub fn make(&mut self, path: &str, inode: Inode) -> usize {
        self.inodes.push(inode);
        let number = self.inodes.len() - 1;
        self.names.insert(path.to_owned(), number);
        number
    }

    /// Makes a directory and those above it.
    pub fn make_dirs(&mut self, path: &str) {
        for (at, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
            if self.find(&path[..at]).is_none() {
                self.make(&path[..at], Inode { is_dir: true, ..Inode::default() });
            }
        }
    }

    /// Makes a file that holds this, with its directories.
    pub fn put(&mut self, path: &str, text: &str) {
        let (dir, _) = path.rsplit_once('/').unwrap_or_default();
        self.make_dirs(dir);
        self.make(path, Inode { bytes: text.as_bytes().to_vec(), ..Inode::default() });
    }

    /// What a file holds; nothing if there is none.
    pub fn text(&self, path: &str) -> String {
        let bytes = self.find(path).map(|number| self.inodes[number].bytes.clone());
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }

    /// Takes a name away. Whoever has the file open keeps it.
    pub fn remove(&mut self, path: &str) -> bool {
        self.names.remove(path).is_some()
    }

    /// Gives a file another name.
    pub fn rename(&mut self, from: &str, to: &str) -> bool {
        let Some(number) = self.names.remove(from) else { return false };
        self.names.insert(to.to_owned(), number);
        true
    }

    /// The names in a directory.
    pub fn entries(&self, dir: &str) -> Vec<String> {
        let prefix = format!("{dir}/");
        let inside = self.names.range(prefix.clone()..).map(|(name, _)| name.as_str());
        let inside = inside.map_while(|name| name.strip_prefix(&prefix));
        inside.filter(|rest| !rest.contains('/')).map(str::to_owned).collect()
    }

    /// Takes every lock from this open file.
    pub fn unlock(&mut self, open: u64) {
        for inode in &mut self.inodes {
            if inode.locked == Some(open) {
                inode.locked = None;
            }
        }
    }
}
