//! Texts of xl's that are longer than a line: usages and `xl info`.
//!
//! T09, T37 and T07; a command without a recorded usage gets its first line only.

/// The usage that `xl` prints on standard output.
pub fn of(command: &str) -> String {
    match command {
        "list" => LIST.to_owned(),
        "destroy" => DESTROY.to_owned(),
        other => format!("Usage: xl [-vtT] {other} <Domain>\n\n\n"),
    }
}

const LIST: &str = "\
Usage: xl [-vtT] list [options] [Domain]


List information about all/some domains.

Options:

-l, --long              Output all VM details
-v, --verbose           Prints out UUIDs and security context
-Z, --context           Prints out security context
-c, --cpupool           Prints the cpupool the domain is in
-n, --numa              Prints out NUMA node affinity
";

const DESTROY: &str = "\
Usage: xl [-vtTf] destroy [options] <Domain>


Terminate a domain immediately.

Options:

-f                      Permit destroying domain 0, which will only succeed
                        when run from disaggregated toolstack domain with a
                        hardware domain distinct from domain 0.
";

/// `xl info`, with the machine's names and memory.
pub fn info(free: u64, total: u64) -> String {
    let name = nix::sys::utsname::uname();
    let text = |part: Result<&std::ffi::OsStr, _>| {
        part.map(|part: &std::ffi::OsStr| part.to_string_lossy().into_owned())
            .unwrap_or_else(|_: ()| String::new())
    };
    let host = text(name.as_ref().map(|name| name.nodename()).map_err(|_| ()));
    let release = text(name.as_ref().map(|name| name.release()).map_err(|_| ()));
    let version = text(name.as_ref().map(|name| name.version()).map_err(|_| ()));
    format!(
        "host                   : {host}\n\
         release                : {release}\n\
         version                : {version}\n\
         machine                : x86_64\n\
         nr_cpus                : 1\n\
         max_cpu_id             : 0\n\
         nr_nodes               : 1\n\
         cores_per_socket       : 1\n\
         threads_per_core       : 1\n\
         cpu_mhz                : 2445.425\n\
         hw_caps                : 0fcbf3fd:f2f8320b:ec500800:00000177:00000000:219c43a9:0040020c:00000000\n\
         virt_caps              : pv hvm hap gnttab-v1 gnttab-v2\n\
         total_memory           : {total}\n\
         free_memory            : {free}\n\
         sharing_freed_memory   : 0\n\
         sharing_used_memory    : 0\n\
         outstanding_claims     : 0\n\
         free_cpus              : 0\n\
         xen_major              : 4\n\
         xen_minor              : 17\n\
         xen_extra              : .7\n\
         xen_version            : 4.17.7\n\
         xen_caps               : xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 \n\
         xen_scheduler          : credit2\n\
         xen_pagesize           : 4096\n\
         platform_params        : virt_start=0xffff800000000000\n\
         xen_changeset          : \n\
         xen_commandline        : console=com1 com1=115200,8n1 dom0_mem=1024M,max:1024M \n\
         cc_compiler            : x86_64-linux-gnu-gcc (Debian 12.2.0-14+deb12u1) 12.2.0\n\
         cc_compile_by          : pkg-xen-devel\n\
         cc_compile_domain      : lists.alioth.debian.org\n\
         cc_compile_date        : Wed Nov  4 16:52:28 UTC 2026\n\
         build_id               : 151b373fd64b321593bf987fd923cd10dabadac4\n\
         xend_config_format     : 4\n"
    )
}
