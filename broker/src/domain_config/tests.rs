//! What is read of a configuration, and what is not.

use super::*;
use crate::target::tests::{UUID, node, with_config};

fn disks(text: &str) -> Option<Vec<PathBuf>> {
    DomainConfig::parse(text).disks
}

#[test]
fn plain_assignments_are_read() {
    let config = DomainConfig::parse(
        "# name = \"no\"\nname = \"alpha-node2\" # the second\nuuid='7F95'\n\
         disk = [ 'phy:/dev/vg/root,xvda,w', # ]\n  \"format=raw, vdev=xvdb, target=/srv/x.img\",\n\
         ',hdc:cdrom,r' ]\nkernel = \"/boot/vmlinuz\"\n",
    );
    assert_eq!(config.name.as_deref(), Some("alpha-node2"));
    assert_eq!(config.uuid.as_deref(), Some("7F95"));
    let disks = ["/dev/vg/root", "/srv/x.img"].map(PathBuf::from);
    assert_eq!(config.disks.as_deref(), Some(&disks[..]));
    assert_eq!(DomainConfig::parse("name=\"x\";").name.as_deref(), Some("x"));
    assert_eq!(DomainConfig::parse("memory = 1; name = 'x'").name.as_deref(), Some("x"));
}

#[test]
fn what_is_no_plain_assignment_cannot_be_told() {
    for text in [
        "name = \"a\" + \"b\"",
        "name = vmname",
        "name = \"a\\x41\"",
        "  name = \"indented\"",
        "name = \"open",
        "name = 'a'\nextra = \"open",
        "name = 'a'\nvif = [ 'open'",
        "name = 'a'\n]",
        "name += 'a'",
        "name = 'a\\''",
        "names = \"x\"",
        "name",
    ] {
        assert_eq!(DomainConfig::parse(text).name, None, "{text}");
    }
}

#[test]
fn the_last_assignment_counts_as_in_xl() {
    let name = |text| DomainConfig::parse(text).name;
    assert_eq!(name("name='a'\nname='b'\n").as_deref(), Some("b"));
    for behind in ["name=f()", " name = 'b'", "memory = 1; name = f()", " a = 1; name = 'b'"] {
        let text = format!("name='a'\n{behind}\n");
        assert_eq!(DomainConfig::parse(&text).name, None, "{behind}");
    }
    assert_eq!(name("name = '#; ]' ; # name = 'c'").as_deref(), Some("#; ]"));
    // A quotation mark behind a backslash ends no string.
    assert_eq!(name("extra = \"a \\\"b\\\\\"; name = 'x'").as_deref(), Some("x"));
    for behind in ["uuid += 'b'", " uuid = 'b'"] {
        let text = format!("uuid='a'\n{behind}\n");
        assert_eq!(DomainConfig::parse(&text).uuid, None, "{behind}");
    }
}

/// What the broker does not know of a disk it has to doubt.
#[test]
fn either_all_disks_are_known_or_none() {
    let all = ["/a", "/b"].map(PathBuf::from);
    assert_eq!(disks("disk = ['phy:/a,xvda,w']\ndisk += ['/b,raw,xvdb']").unwrap(), all);
    assert_eq!(
        disks("disk = ['/c,,xvda']\ndisk = ['/a,,xvda', '/b]/../b,,xvdb' ]").unwrap()[0],
        all[0]
    );
    assert_eq!(disks("memory = 1").unwrap(), Vec::<PathBuf>::new());
    for text in [
        "disk = [ 'drbd:res0,xvda,w' ]",
        "disk = [ 'phy:/dev/' + volume ]",
        "disk = [ 'phy:/a,xvda,w' 'phy:/b,xvdb,w' ]",
        "disk = [ 'phy:/a\\x,xvda,w' ]",
        "disk = [ 'phy:/a,xvda,w' ] + more",
        "disk = disks()",
        "disk = [ 'phy:/a,xvda,w' ]\n disk += [ 'phy:/b,xvdb,w' ]",
        "disk = [ 'phy:/a,xvda,w' ]\ndisk += more",
        "disk = [ 'phy:/a,xvda,w' ]\nextra = \"open",
    ] {
        assert_eq!(disks(text), None, "{text}");
    }
}

/// What a power-on is refused for.
#[test]
fn a_configuration_has_to_make_the_nodes_own_domain() {
    let (node, file) = (node(), Path::new("/etc/xen/alpha-node2.cfg"));
    let said = |text: &str| is_of(&node, file, text).map_err(|unfit| unfit.to_string());
    let uuid = format!("uuid = \"{UUID}\"\n");
    assert_eq!(said(&format!("{uuid}name = 'alpha-node2'")), Ok(()));
    assert_eq!(
        said(&format!("{}name = 'alpha-node2'", uuid.to_uppercase().replace("UUID", "uuid"))),
        Ok(())
    );
    for (text, why) in [
        ("name = 'alpha-node2'".to_owned(), "has no plain `uuid = \"…\"`; add `uuid ="),
        (uuid.clone(), "has no plain `name = \"…\"`; add `name = \"alpha-node2\"`"),
        (
            format!("{uuid}name = 'beta-db1'"),
            "says name \"beta-db1\", the policy says \"alpha-node2\"",
        ),
        ("uuid = 'x'\nname = 'alpha-node2'".to_owned(), "says uuid \"x\", the policy says"),
        (format!("{uuid}name = 'alpha-node2'\nmemory = 1; uuid = f()"), "has no plain `uuid"),
    ] {
        let told = said(&text).unwrap_err();
        assert!(told.starts_with("/etc/xen/alpha-node2.cfg ") && told.contains(why), "{told}");
    }
}

#[test]
fn what_cannot_be_read_or_is_anothers_is_fit_for_nothing() {
    // The policy names a file that is not there.
    let said = fit(&node()).unwrap_err().to_string();
    assert!(said.starts_with("the configuration of node2 is not usable: "), "{said}");
    assert_eq!(super::disks(&node()), None);
    if !nix::unistd::geteuid().is_root() {
        return; // A configuration is read only if it is root's.
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alpha-node2.cfg");
    let node = with_config(Some(&file));
    let text = format!("name = 'alpha-node2'\nuuid = '{UUID}'\ndisk = [ 'phy:/a,xvda,w' ]\n");
    std::fs::write(&file, &text).unwrap();
    assert_eq!(fit(&node).unwrap(), file);
    assert_eq!(super::disks(&node), Some(vec![PathBuf::from("/a")]));
    std::fs::write(&file, text.replace("uuid", "was")).unwrap();
    assert!(fit(&node).unwrap_err().to_string().contains("has no plain `uuid"));
}
