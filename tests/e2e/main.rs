//! The installed product in a throwaway dom0, end to end.

#[test]
fn smoke() {
    use std::time::Instant;
    use xen_fence_tests::throwaway::Dom0;
    let t = Instant::now();
    let dom0 = Dom0::builder()
        .cluster("alpha", &["node1", "node2"])
        .cluster("beta", &["db1", "db2"])
        .raise()
        .unwrap();
    println!("raise {:?}", t.elapsed());
    for _ in 0..3 {
        println!("{}", dom0.on(&["true"]));
    }
    println!(
        "{}",
        dom0.sh(
            "hostname; id; cat /proc/self/cgroup; findmnt; ip -br a; ps axfww; cat /var/log/syslog"
        )
    );
    println!("{}", dom0.sh("logger hello; sleep 0.1; cat /var/log/syslog; ls -l /dev /sys /sys/hypervisor; cat /etc/xen-fence/keys/* /etc/xen-fence/clusters.d/*"));
    println!("{}", dom0.sh("ls -la /srv/nodes/*/*; ssh -o UserKnownHostsFile=/srv/nodes/alpha-node1/etc-xen-fence/known_hosts -i /srv/nodes/alpha-node1/etc-xen-fence/id_ed25519 -p 2422 fence-alpha@xen1 xen-fence/1"));
    println!("{:#?}", dom0.processes().len());
    let t = Instant::now();
    drop(dom0);
    println!("teardown {:?}", t.elapsed());
}
