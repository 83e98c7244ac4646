//! What the stand-in does otherwise than the recordings of real Xen 4.17 show, and why it may.

/// One step's difference.
pub struct Known {
    /// The recording's name.
    pub step: &'static str,
    /// The differing lines: `-` on real Xen, `+` in the stand-in; or [`ANYTHING`].
    pub text: &'static str,
    /// Whether each of them is seen at some times and not at others: a stage that is over before the
    /// next listing.
    pub sometimes: bool,
    /// Why it is left so.
    pub why: &'static str,
}

/// For a step that has nothing in common with its recording.
pub const ANYTHING: &str = "*";

/// Groups that are not run, with the steps of each.
pub const NOT_RUN: &[(&str, &[&str])] = &[
    // A table of times, which are not compared.
    ("times", &["00-times"]),
];

pub const KNOWN: &[Known] = &[
    Known {
        step: "44-destroy-twice-at-once",
        text: "\
-libxl: error: libxl_domain.c:1616:domain_destroy_domid_cb: Domain 3:xc_domain_destroy failed: No such process
+libxl: error: libxl_dom.c:1216:libxl__userdata_path: unable to find domain info for domain 3: No such file or directory
-destroy failed (rc=-3)
+destroy failed (rc=-15)
",
        sometimes: true,
        why: "where the second destroy notices that the first was faster is chance: earlier \
              recordings have the stand-in's words, or none",
    },
    Known {
        step: "53-panicked-guest-console",
        text: ANYTHING,
        sometimes: false,
        why: "a guest of the stand-in has no kernel that could say that it has panicked",
    },
    Known {
        step: "60-reboot-live-kernel",
        text: "\
+node1                                    +0    128     1     ------  T 7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac        -                -
+node1                                    +0    128     1     ---sr-  T 7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac        1                -
+(null)                                   +0    128     1     --psr-  T 7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac        1                -
+(null)                                   +0   some     1     --psr-  T 7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac        1                -
+(null)                                   +1      0     0     --p---  T 7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac        -                -
",
        sometimes: true,
        why: "over before real xl, which takes a quarter of a second for a listing, lists again: 48 \
              shows ---sr-, 77 that a domain that dies loses its name first, and an earlier \
              recording the new one without a name",
    },
    Known {
        step: "77-list-during-destroy",
        text: "\
+node1                                    +0    128     1     ------  T 7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac        -                -
+(null)                                   +0   some     1     --p---  T 7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac        -                -
",
        sometimes: true,
        why: "over before the next listing of real xl, as in 60: an earlier recording has both",
    },
    Known {
        step: "90-zombie-vbd",
        text: "\
-  state = \"2\"
+  state = \"4\"
+  feature-flush-cache = \"1\"
+  discard-granularity = \"1024\"
+  discard-alignment = \"0\"
+  discard-secure = \"0\"
+  feature-discard = \"1\"
+  feature-barrier = \"1\"
+  feature-persistent = \"1\"
+  sectors = \"8192\"
+  info = \"0\"
+  sector-size = \"512\"
+  physical-sector-size = \"512\"
",
        sometimes: false,
        why: "a guest of the stand-in has no kernel to boot: it is connected at once",
    },
    Known {
        step: "97-save-restore",
        text: ANYTHING,
        sometimes: false,
        why: "the stand-in cannot save a process tree: it has neither command. What rows they \
              make is in the broker's tests, from the recording",
    },
    Known {
        step: "98-migrate-to-itself",
        text: ANYTHING,
        sometimes: false,
        why: "nor migrate one; and on this Xen, built without shadow paging, it fails",
    },
];
