//! What a person reads when the system is ready.

use super::demo::Demo;
use control_plane::Endpoints;
use provision::mariadb_local::LocalDataNode;
use std::fmt::Write;
use std::path::Path;

/// The summary.
pub fn text(
    data_dir: &Path,
    plane: &Endpoints,
    data_nodes: &[LocalDataNode],
    demo: Option<&Demo>,
) -> String {
    let mut text = String::from("\nDDM is ready.\n\n");
    let mut line = |name: &str, value: &str| {
        writeln!(text, "  {name:<12} {value}").expect("a string takes every write");
    };
    line("REST API", &plane.api);
    line("user", &format!("{} (password and keys are in endpoints.json)", plane.username));
    line("endpoints", &data_dir.join(super::endpoints::FILE_NAME).display().to_string());
    for node in data_nodes {
        let replicas = match node.replicas.len() {
            0 => String::new(),
            1 => ", 1 replica".to_owned(),
            count => format!(", {count} replicas"),
        };
        line("data node", &format!("{} at {}:{}{replicas}", node.name, node.host, node.port));
    }
    if let Some(demo) = demo {
        line("demo", &demo.mysql_command());
    } else {
        line("next", "ddm ctl instances create NAME");
    }
    line("stop", "Ctrl-C; everything is kept and comes back at the next start");
    text
}
