//! The lines of docs/pacemaker.md that configure Pacemaker, as they stand there, typed in a real cluster; and what
//! was configured fences.

use crate::corosync::{cluster_that_cannot_fence, pcmk, runs_on};
use crate::{Dom0, recorded, settle};
use xen_fence_tests::skipped;
use xen_fence_tests::throwaway::Output;

const TEXT: &str = include_str!("../../docs/pacemaker.md");

/// Where tests/all puts the archives of what it does not install.
const ARCHIVES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/shells");

/// The lines of the text that begin with this command.
fn lines(command: &str) -> Vec<String> {
    let blocks = TEXT.split("```\n").skip(1).step_by(2);
    let whole: String = blocks.map(|block| block.replace("\\\n", "")).collect();
    let lines = whole.lines().filter(|line| line.starts_with(command));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Unpacks pcs and crmsh, and the Python that they need, where the machine does not have them.
fn unpack(dom0: &Dom0) {
    for archive in std::fs::read_dir(ARCHIVES).into_iter().flatten() {
        let path = archive.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if ["pcs_", "crmsh_", "python3-"].iter().any(|begin| name.starts_with(begin)) {
            dom0.write("/srv/archive.deb", std::fs::read(&path).unwrap(), 0o644);
            // /lib is a link there, and a directory in some archives.
            let unpack =
                "dpkg-deb --fsys-tarfile /srv/archive.deb | tar -x --keep-directory-symlink -C /";
            let _ = dom0.sh(unpack).exits(0);
        }
    }
    // Which crmsh's package makes when it is installed.
    let _ = dom0.on(&["mkdir", "-p", "/var/log/crmsh"]).exits(0);
}

fn typed(dom0: &Dom0, line: &str) -> Output {
    let done = pcmk(dom0, "node1", &["sh", "-c", line]);
    assert_eq!(done.code, 0, "{line}\n{done}");
    done
}

/// Its device runs, and Pacemaker has node2 killed by it.
fn it_fences(dom0: &Dom0) {
    settle(|| runs_on(dom0, "node1", "xen").is_some());
    let kills = || {
        let records = dom0.journal("alpha");
        records.iter().filter(|record| record.to_string().contains("fenced killed")).count()
    };
    let before = kills();
    settle(|| dom0.domid("alpha", "node2").is_some());
    let _ = dom0.sh("rm -f /run/xen-fence/*.state").exits(0);
    let _ = typed(dom0, "stonith_admin --reboot node2");
    assert_eq!(kills(), before + 1, "{:#?}", dom0.journal("alpha"));
}

#[test]
fn the_lines_for_pcs_and_crm_configure_what_fences() {
    let case = "the_lines_for_pcs_and_crm_configure_what_fences";
    let Some(dom0) = cluster_that_cannot_fence(case) else { return };
    unpack(&dom0);
    if ["/usr/sbin/pcs", "/usr/sbin/crm"].iter().any(|program| !dom0.has(program)) {
        return skipped(case, "pcs and crmsh are not here (tests/all fetches them)");
    }
    let [one, two, update, ipmi1, ipmi2, levels @ .., plugin] = &lines("pcs ")[..] else {
        panic!("{TEXT}")
    };
    let _ = typed(&dom0, one);
    it_fences(&dom0);
    let _ = typed(&dom0, "pcs stonith delete xen");
    let _ = typed(&dom0, plugin);
    it_fences(&dom0);
    let _ = typed(&dom0, "pcs stonith delete xen");
    // The names of fence agents that are older than ours.
    let older = "ip=xen1 ipport=2422 login=fence-alpha";
    let _ = typed(&dom0, &format!("pcs stonith create xen fence_xen {older}"));
    it_fences(&dom0);
    let _ = typed(&dom0, "pcs stonith delete xen");
    let _ = typed(&dom0, two);
    let both = "dom0=\"fence-alpha@xen1:2422 fence-alpha@xen2:2422\"";
    let _ = typed(&dom0, "pcs stonith config xen").saying(both);
    assert_eq!(levels.len(), 4, "{levels:?}");
    for line in [update, ipmi1, ipmi2].into_iter().chain(levels) {
        let _ = typed(&dom0, line);
    }
    let _ = typed(&dom0, "pcs stonith config xen").saying("pcmk_host_list=\"node1 node2\"");
    let _ = typed(&dom0, "pcs stonith level verify && crm_verify --live-check");
    let delete = "pcs stonith level delete 2 node2";
    assert!(TEXT.contains(delete));
    let _ = typed(&dom0, delete);
    let _ = typed(&dom0, "pcs stonith level clear");
    for device in ["xen", "ipmi1", "ipmi2"] {
        let _ = typed(&dom0, &format!("pcs stonith delete {device}"));
    }

    let [primitive, list, ipmi1, ipmi2, topology, plugin] = &lines("crm ")[..] else {
        panic!("{TEXT}")
    };
    for line in [primitive, list, ipmi1, ipmi2] {
        let _ = typed(&dom0, line);
    }
    let levels = typed(&dom0, topology);
    assert!(!levels.says("does not exist"), "{levels}");
    let _ = typed(&dom0, "crm_verify --live-check");
    it_fences(&dom0);
    let _ = typed(&dom0, "pcs stonith level clear && pcs stonith delete xen");
    let _ = typed(&dom0, plugin);
    it_fences(&dom0);
    let _ = typed(&dom0, "pcs stonith delete xen");
    let _ = typed(&dom0, &format!("crm configure primitive xen stonith:fence_xen params {older}"));
    it_fences(&dom0);
    assert!(recorded(&dom0, "alpha", &["fenced killed", "node2"]));
}
