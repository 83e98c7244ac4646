//! What sudo 1.9.13 says, read.

use super::*;

const CLEAN: &str = "\
Matching Defaults entries for fence-alpha on xen1:
    env_reset, mail_badpass,
    secure_path=/usr/local/sbin\\:/usr/local/bin, use_pty, !fqdn

Runas and Command-specific defaults for fence-alpha:
    Defaults!/usr/sbin/xen-fence-broker env_reset, !setenv
    Defaults!/usr/sbin/xen-fence-broker !noexec, !command_timeout, !stay_setuid

User fence-alpha may run the following commands on xen1:
    (root) NOSETENV: NOPASSWD: /usr/sbin/xen-fence-broker serve
";

#[test]
fn the_one_rule_is_known_in_any_order_of_its_tags() {
    let said = Said::read(CLEAN);
    assert_eq!(said.rules, ["(root) NOSETENV: NOPASSWD: /usr/sbin/xen-fence-broker serve"]);
    assert!(is_ours(&said.rules[0]) && said.watched().is_none());
    assert!(is_ours("(root) NOPASSWD: NOSETENV: /usr/sbin/xen-fence-broker serve"));
    for other in [
        "(ALL : ALL) ALL",
        "(root) NOPASSWD: /usr/sbin/xen-fence-broker serve",
        "(root) NOPASSWD: NOSETENV: /usr/sbin/xen-fence-broker",
        "(root) NOPASSWD: NOSETENV: /usr/sbin/xen-fence-broker serve, /bin/sh",
        "(ALL) NOPASSWD: NOSETENV: /usr/sbin/xen-fence-broker serve",
    ] {
        assert!(!is_ours(other), "{other}");
    }
}

#[test]
fn wrapped_rules_are_one_and_nothing_is_none() {
    let text = CLEAN.to_owned() + "    (ALL) NOPASSWD: /usr/bin/one,\n        /usr/bin/two\n";
    let said = Said::read(&text);
    assert_eq!(said.rules.len(), 2);
    assert!(said.rules[1].ends_with("one, /usr/bin/two"));
    let refused = Said::read("User fence-alpha is not allowed to run sudo on xen1.\n");
    assert_eq!(refused, Said::default());
}

#[test]
fn a_watched_broker_is_seen_until_the_watch_is_taken_off_it() {
    let watched = CLEAN.replace("use_pty,", "use_pty, intercept,");
    assert_eq!(Said::read(&watched).watched(), Some("intercept"));
    let freed = watched.replace("!noexec,", "!noexec, !intercept, !log_subcmds,");
    assert_eq!(Said::read(&freed).watched(), None);
}

#[test]
fn the_place_of_a_mistake_is_read_as_visudo_says_it() {
    let said = "/etc/sudoers.d/x:3:7: syntax error\nfoo bar\n    ^~~\n";
    assert_eq!(place_of(said), Some(("/etc/sudoers.d/x".to_owned(), 3)));
    assert_eq!(place_of(">>> /etc/sudoers: bad permissions\n"), None);
}

#[test]
fn comments_and_blanks_make_no_other_rule() {
    assert_eq!(meaning("# a\n\n a   b\n"), meaning("a b\n#c\n"));
    for other in ["#includedir /tmp", "#include /tmp/x", "#1000 ALL = ALL"] {
        assert_eq!(meaning(other).len(), 1, "{other}");
    }
    assert_ne!(meaning(SHIPPED), meaning(&SHIPPED.replace("NOSETENV: ", "")));
    let rule = meaning(SHIPPED);
    assert!(rule.iter().all(|line| line.starts_with(['%', 'D'])), "{rule:?}");
}
