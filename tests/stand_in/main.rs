//! The stand-in held to what real Xen 4.17 showed: transcripts replayed, their text compared.
//!
//! `T79` is the number of the transcript. Each test has a machine of its own; all need root.

mod faults;
mod lab;
mod recordings;

use lab::Lab;

const HEADER: &str = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n";
const DOM0: &str =
    "Domain-0                                     0  1024     1     r-----      60.2\n";

fn rows(rows: &[&str]) -> String {
    let rows: Vec<String> = rows.iter().map(|row| format!("{row}\n")).collect();
    format!("{HEADER}{DOM0}{}", rows.concat())
}

const UP1: &str = "Parsing config from /etc/xen/node1.cfg\n";
const NODE1_3: &str =
    "node1                                        3   128     1     ------       5.9";
const NODE2_4: &str =
    "node2                                        4   128     1     ------       1.0";

fn cleaning_up(id: u32) -> String {
    format!(
        "libxl: error: libxl_domain.c:1183:libxl__destroy_domid: Domain {id}:Non-existant domain\n\
         libxl: error: libxl_domain.c:1137:domain_destroy_callback: Domain {id}:Unable to destroy \
         guest\n\
         libxl: error: libxl_domain.c:1064:domain_destroy_cb: Domain {id}:Destruction of domain \
         failed\n"
    )
}

fn two_nodes() -> Lab {
    let lab = Lab::new(3);
    lab.ok("xl create /etc/xen/node1.cfg; xl create /etc/xen/node2.cfg");
    lab
}

#[test]
fn queries_t01_to_t13() {
    let lab = two_nodes();
    lab.replay("xl list", 0, &rows(&[NODE1_3, NODE2_4]), "");
    lab.replay(
        "xl vm-list",
        0,
        "UUID                                  ID    name\n\
         00000000-0000-0000-0000-000000000000  0    Domain-0                      \n\
         7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac  3    node1                         \n\
         06344ce4-c977-4f26-804a-519a3e81bf71  4    node2                         \n",
        "",
    );
    lab.replay("xl domid node1", 0, "3\n", "");
    lab.replay("xl domname 3", 0, "node1\n", "");
    lab.replay("xl list node1", 0, &format!("{HEADER}{NODE1_3}\n"), "");
    let usage = lab.sh("xl list node1 node2");
    assert_eq!((usage.code, usage.err.as_str()), (1, ""), "T09: a usage error on stdout");
    assert!(usage.out.starts_with("Usage: xl [-vtT] list [options] [Domain]\n\n\nList info"));
    lab.replay("xl list nosuch", 1, "", "nosuch is an invalid domain identifier (rc=-6)\n");
    lab.replay(
        "xl domid nosuch",
        1,
        "",
        "Can't get domid of domain name 'nosuch', maybe this domain does not exist.\n",
    );
    lab.replay(
        "xl domname 4242",
        1,
        "",
        "Can't get domain name of domain id '4242', maybe this domain does not exist.\n",
    );
    lab.replay(
        "xl list -v",
        0,
        "Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID        \
         \x20                   Reason-Code\tSecurity Label\n\
         Domain-0                                     0  1024     1     r-----      68.6 \
         00000000-0000-0000-0000-000000000000        -                -\n\
         node1                                        3   128     1     ------      12.9 \
         7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac        -                -\n\
         node2                                        4   128     1     ------       9.3 \
         06344ce4-c977-4f26-804a-519a3e81bf71        -                -\n",
        "",
    );
}

#[test]
fn long_listing_t02_and_t03() {
    let lab = two_nodes();
    let all = lab.ok("xl list -l");
    let one = lab.ok("xl list --long node1");
    assert!(all.starts_with("[\n    {\n        \"domid\": 0,\n        \"config\": {\n"));
    assert!(all.contains("                \"type.pv\": {\n\n                },\n"));
    assert!(
        all.ends_with("            \"on_soft_reset\": \"soft_reset\"\n        }\n    }\n]\n\n")
    );
    for text in [&all, &one] {
        assert!(text.contains(
            "                \"name\": \"node1\",\n                \"domid\": 4294967295,\n                \
             \"uuid\": \"7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac\",\n"
        ));
        serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    }
    assert!(!one.contains("Domain-0") && !one.contains("node2"), "{one}");
}

#[test]
fn failed_creates_t20_to_t24() {
    let lab = two_nodes();
    lab.replay(
        "xl create /etc/xen/node1.cfg",
        3,
        "",
        &format!(
            "{UP1}libxl: error: libxl_domain.c:81:libxl__domain_rename: Domain 5:Domain with name \
             \"node1\" already exists.\n\
             libxl: error: libxl_create.c:1296:initiate_domain_create: Domain 5:cannot make domain: \
             -6\n{}",
            cleaning_up(5)
        ),
    );
    lab.replay(
        "xl create /etc/xen/nosuch.cfg",
        3,
        "",
        "Failed to read config file: /etc/xen/nosuch.cfg: No such file or directory\n",
    );
    lab.ok("sed 's/node1\"/other\"/; s/128/64000/' /etc/xen/node1.cfg > /tmp/../mnt/big.cfg");
    lab.replay(
        "xl create /mnt/big.cfg",
        3,
        "",
        &format!(
            "Parsing config from /mnt/big.cfg\n\
             xc: error: panic: xg_dom_boot.c:119: xc_dom_boot_mem_init: can't allocate low memory \
             for domain: Out of memory\n\
             libxl: error: libxl_dom.c:586:libxl__build_dom: xc_dom_boot_mem_init failed: Cannot \
             allocate memory\n\
             libxl: error: libxl_create.c:1640:domcreate_rebuild_done: Domain 6:cannot (re-)build \
             domain: -3\n{}",
            cleaning_up(6)
        ),
    );
    lab.ok("sed 's/\"node1\"/\"other\"/' /etc/xen/node1.cfg > /mnt/shared.cfg");
    lab.replay(
        "xl create /mnt/shared.cfg",
        3,
        "",
        &format!(
            "Parsing config from /mnt/shared.cfg\n\
             libxl: error: libxl_exec.c:117:libxl_report_child_exitstatus: /etc/xen/scripts/block \
             add [660] exited with error status 1\n\
             libxl: error: libxl_device.c:1337:device_hotplug_child_death_cb: script: Device \
             /dev/loop1 is mounted in a guest domain,\nand so cannot be mounted now.\n\
             libxl: error: libxl_create.c:1672:domcreate_launch_dm: Domain 7:unable to add disk \
             devices\n{}",
            cleaning_up(7)
        ),
    );
    lab.replay("xl list", 0, &rows(&[NODE1_3, NODE2_4]), "");
}

#[test]
fn destroys_t30_to_t43() {
    let lab = two_nodes();
    lab.replay("xl destroy node1", 0, "", "");
    lab.replay("xl list", 0, &rows(&[NODE2_4]), "");
    for name in ["node1", "nosuch", "NODE2"] {
        let err = format!("{name} is an invalid domain identifier (rc=-6)\n");
        lab.replay(&format!("xl destroy {name}"), 1, "", &err);
    }
    for name in ["0", "Domain-0"] {
        lab.replay(
            &format!("xl destroy {name}"),
            1,
            "",
            "Not destroying domain 0; use -f to force.\nThis can only be done when using a \
             disaggregated hardware domain and toolstack.\n\n",
        );
    }
    lab.replay("xl create /etc/xen/node1.cfg", 0, "", UP1);
    let usage = lab.sh("xl destroy");
    assert_eq!(
        (usage.code, usage.err.as_str()),
        (2, "'xl destroy' requires at least 1 argument.\n\n")
    );
    assert!(usage.out.starts_with("Usage: xl [-vtTf] destroy [options] <Domain>\n\n\nTerminate"));
    lab.replay("xl destroy node1 node2", 0, "", "");
    lab.replay("xl list", 0, &rows(&[NODE2_4]), "");
    lab.ok("xl create /etc/xen/node1.cfg");
    lab.replay("xl destroy 6", 0, "", "");
    let unknown = format!("{}destroy failed (rc=-21)\n", cleaning_up(4242));
    lab.replay("xl destroy 4242", 1, "", &unknown);
    lab.replay("xl destroy -- node2", 0, "", "");
    lab.replay("xl list", 0, &rows(&[]), "");
}

#[test]
fn at_once_t45_and_t46() {
    let lab = two_nodes();
    lab.ok("xl destroy node1; xl create -q /etc/xen/node1.cfg");
    let again = "node1                                        6   128     1     ------       0.4";
    lab.replay(
        "xl destroy node1; echo \"destroy rc=$?\"; xl create /etc/xen/node1.cfg; echo \"create \
         rc=$?\"; xl list",
        0,
        &format!("destroy rc=0\ncreate rc=0\n{}", rows(&[NODE2_4, again])),
        UP1,
    );
    let closed = "xl destroy node1 >&- 2>&-; echo \"rc=$?\"; xl list";
    lab.replay(closed, 0, &format!("rc=0\n{}", rows(&[NODE2_4])), "");
}

#[test]
fn names_t62_to_t72() {
    let lab = two_nodes();
    lab.replay("xl pause node1", 0, "", "");
    let paused = "node1                                        3   128     1     --p---       8.3";
    lab.replay("xl list", 0, &rows(&[paused, NODE2_4]), "");
    lab.ok("xl unpause node1");
    lab.replay("xl rename node1 spare", 0, "", "");
    let error = "node1 is an invalid domain identifier (rc=-6)\n";
    lab.replay("xl destroy node1", 1, "", error);
    lab.replay(
        "xl rename spare node2",
        1,
        "",
        "libxl: error: libxl_domain.c:81:libxl__domain_rename: Domain 3:Domain with name \"node2\" \
         already exists.\nCan't rename domain 'spare'.\n",
    );
    lab.replay("xl rename spare 4", 0, "", "");
    let four = "4                                            3   128     1     ------      15.1";
    lab.replay(
        "xl list; n=$(xl domid node2); xl destroy \"$n\"; echo \"rc=$? for xl destroy $n\"; xl list",
        0,
        &format!("{}rc=0 for xl destroy 4\n{}", rows(&[four, NODE2_4]), rows(&[four])),
        "",
    );
}

#[test]
fn xenstore_t73_to_t76() {
    let lab = Lab::new(5);
    lab.ok("xl create -q /etc/xen/node1.cfg");
    let backends = lab.ok("xenstore-ls /local/domain/0/backend/vbd");
    assert!(backends.starts_with(
        "5 = \"\"\n 51712 = \"\"\n  frontend = \"/local/domain/5/device/vbd/51712\"\n  params = "
    ));
    assert!(lab.ok("xenstore-ls /local/domain/5").starts_with(
        "vm = \"/vm/7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac\"\nname = \"node1\"\ncpu = \"\"\n 0 = \"\"\n"
    ));
    assert_eq!(lab.ok("xenstore-read /local/domain/5/name"), "node1\n");
    let path = "/local/domain/0/backend/vbd/5/51712/dev = \"xvda\"\n";
    assert!(lab.ok("xenstore-ls -f /local/domain/0/backend").contains(path));
    lab.ok("xl destroy node1");
    lab.replay(
        "xenstore-ls /local/domain/0/backend/vbd",
        1,
        "",
        "xenstore-ls: xs_directory (/local/domain/0/backend/vbd): No such file or directory\n",
    );
    let stands = lab.sector(1, 1);
    assert!(stands.starts_with("node1 ") || stands.is_empty(), "{stands}");
    assert_eq!(lab.ok("sleep 0.2") + &lab.sector(1, 1), stands, "T75: the sector stands still");
}
