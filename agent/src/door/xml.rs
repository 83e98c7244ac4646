//! The table as XML: the metadata of `fence_xen` for Pacemaker, and the parameters of the plugin for
//! cluster-glue. Neither needs a network, a configuration or a dom0.

use super::pacemaker::{self, Deed};
use super::parameters::{self, AGENT, Content, Parameter, Plugin, TABLE};
use std::fmt::Write as _;

/// The metadata of the fence agent, as its RELAX NG schema wants it.
pub(super) fn fence_agent() -> String {
    let mut xml = format!(
        "<?xml version=\"1.0\" ?>\n<resource-agent name=\"{}\" shortdesc=\"{}\">\n\
         <longdesc>{}</longdesc>\n<vendor-url>{}</vendor-url>\n<parameters>\n",
        pacemaker::NAME,
        escaped(AGENT.title),
        escaped(AGENT.story),
        escaped(AGENT.url)
    );
    for one in TABLE {
        let older = older(one);
        let obsoletes = older.first().map(|older| format!(" obsoletes=\"{older}\""));
        let required = u8::from(one.required);
        parameter(&mut xml, one, &one.name(), required, &obsoletes.unwrap_or_default());
        // pcs and crmsh refuse whatever has no row of its own. Nobody has to set an older name.
        for older in older {
            parameter(&mut xml, one, older, 0, " deprecated=\"1\"");
        }
    }
    xml.push_str("</parameters>\n<actions>\n");
    for deed in Deed::ALL {
        let automatic = if *deed == Deed::On { " automatic=\"0\"" } else { "" };
        let _ = writeln!(xml, "\t<action name=\"{}\"{automatic}/>", deed.word());
    }
    xml.push_str("</actions>\n</resource-agent>\n");
    xml
}

/// The older names that can be configured: not those of the action and of the node, which are Pacemaker's to
/// name. It would send them beside its own.
fn older(one: &Parameter) -> &'static [&'static str] {
    if one.content == Content::Action || one.long == "plug" { &[] } else { one.older }
}

/// The row of a parameter under one of its names.
fn parameter(xml: &mut String, one: &Parameter, name: &str, required: u8, attribute: &str) {
    let _ = write!(
        xml,
        "\t<parameter name=\"{name}\" unique=\"0\" required=\"{required}\"{attribute}>\n\
         \t\t<getopt mixed=\"{}\"/>\n{}\
         \t\t<shortdesc lang=\"en\">{}</shortdesc>\n\t</parameter>\n",
        escaped(&getopt(one)),
        content(one),
        escaped(one.text)
    );
}

/// The parameters of the plugin. cluster-glue pastes them into a document of its own.
pub(super) fn plugin() -> String {
    let mut xml = "<parameters>\n".to_owned();
    for one in parameters::of_plugin() {
        let text = one.text.split(". ").next().unwrap_or_default();
        let _ = write!(
            xml,
            "<parameter name=\"{}\" unique=\"0\" required=\"{}\">\n<content type=\"{}\"/>\n\
             <shortdesc lang=\"en\">{}</shortdesc>\n<longdesc lang=\"en\">{}</longdesc>\n\
             </parameter>\n",
            one.name(),
            u8::from(one.plugin == Plugin::Mandatory),
            if one.content == Content::Seconds { "integer" } else { "string" },
            escaped(text),
            escaped(one.text)
        );
    }
    xml.push_str("</parameters>\n");
    xml
}

/// As fence agents write the two options of a parameter.
fn getopt(one: &Parameter) -> String {
    let value = if one.value.is_empty() { String::new() } else { format!("=[{}]", one.long) };
    match one.short {
        Some(letter) => format!("-{letter}, --{}{value}", one.long),
        None => format!("--{}{value}", one.long),
    }
}

fn content(one: &Parameter) -> String {
    let kind = match one.content {
        // Pacemaker's tools know no list of actions here either.
        Content::Text | Content::Action => "string",
        Content::Seconds => "second",
        Content::Number => "integer",
        Content::Flag => "boolean",
    };
    let default = one.default.map(|text| format!(" default=\"{}\"", escaped(text)));
    format!("\t\t<content type=\"{kind}\"{} />\n", default.unwrap_or_default())
}

fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_and_action_is_in_the_metadata() {
        let xml = fence_agent();
        for one in TABLE {
            let row = format!("<parameter name=\"{}\" unique=\"0\" ", one.name());
            assert_eq!(xml.matches(&row).count(), 1, "{row}");
            for older in older(one) {
                let row = format!(
                    "<parameter name=\"{older}\" unique=\"0\" required=\"0\" deprecated=\"1\""
                );
                assert_eq!(xml.matches(&row).count(), 1, "{row}");
                assert!(xml.contains(&format!("obsoletes=\"{older}\"")), "{older}");
            }
        }
        for deed in Deed::ALL {
            assert_eq!(xml.matches(&format!("<action name=\"{}\"", deed.word())).count(), 1);
        }
        for own in ["option", "port"] {
            assert!(
                !xml.contains(&format!("\"{own}\"")),
                "it would be sent beside Pacemaker's own"
            );
        }
        assert!(xml.is_ascii());
    }

    #[test]
    fn the_plugin_describes_what_it_reads() {
        let xml = plugin();
        assert_eq!(xml.matches("required=\"1\"").count(), 1);
        for name in ["dom0", "identity_file", "known_hosts", "timeout"] {
            assert!(xml.contains(&format!("name=\"{name}\"")), "{xml}");
        }
        assert!(xml.starts_with("<parameters>") && xml.ends_with("</parameters>\n"));
    }

    #[test]
    fn what_means_something_to_xml_is_escaped() {
        assert_eq!(escaped("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
