//! Every kind of job goes through the fault kit: this table says in which test, and the test here
//! fails when a kind is not in it, or when the test that it names does not put that kind's definition
//! through the kit's faults.

use control_app::App;
use control_app::jobs::*;
use job_engine::JobDefinition;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where one kind meets the faults.
struct Scenario {
    definition: fn() -> JobDefinition<Arc<App>>,
    /// The definition as the test's text has it.
    written: &'static str,
    /// The test's file.
    text: &'static str,
    /// The function that goes through the faults.
    function: &'static str,
}

macro_rules! scenario {
    ($module:ident :: $definition:ident, $file:literal, $function:literal) => {
        Scenario {
            definition: $module::$definition,
            written: concat!(stringify!($module), "::", stringify!($definition)),
            text: include_str!($file),
            function: $function,
        }
    };
}

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(
            instance_create::definition,
            "instances.rs",
            "jobs_of_instances_bear_every_fault"
        ),
        scenario!(
            instance_restart::definition,
            "instances.rs",
            "jobs_of_instances_bear_every_fault"
        ),
        scenario!(
            instance_delete::definition,
            "instances.rs",
            "jobs_of_instances_bear_every_fault"
        ),
        scenario!(instance_rename::definition, "alterations.rs", "renaming_bears_every_fault"),
        scenario!(
            account_password::definition,
            "alterations.rs",
            "setting_a_password_bears_every_fault"
        ),
        scenario!(
            configuration_change::definition,
            "configurations.rs",
            "the_change_of_parameters_bears_every_fault"
        ),
        scenario!(
            instance_restart::node_definition,
            "scaling.rs",
            "jobs_of_scaling_bear_every_fault"
        ),
        scenario!(nodes_add::definition, "scaling.rs", "jobs_of_scaling_bear_every_fault"),
        scenario!(nodes_remove::definition, "scaling.rs", "jobs_of_scaling_bear_every_fault"),
        scenario!(flavor_change::definition, "scaling.rs", "jobs_of_scaling_bear_every_fault"),
        scenario!(nodes_add::group_definition, "scaling.rs", "jobs_of_scaling_bear_every_fault"),
        scenario!(
            nodes_remove::group_definition,
            "scaling.rs",
            "deleting_a_group_bears_every_fault"
        ),
        scenario!(data_nodes_sync::definition, "data_nodes.rs", "the_job_bears_every_fault"),
        scenario!(schema_create::definition, "schemas.rs", "jobs_bear_every_fault"),
        scenario!(schema_delete::definition, "schemas.rs", "jobs_bear_every_fault"),
        scenario!(metadata_apply::import_definition, "metadata.rs", "jobs_bear_every_fault"),
        scenario!(metadata_apply::restore_definition, "metadata.rs", "a_restore_bears_every_fault"),
        scenario!(backup_delete::definition, "metadata.rs", "deleting_a_backup_bears_every_fault"),
    ]
}

/// The text of a function of a file, up to the brace that ends it.
fn body<'a>(text: &'a str, function: &str) -> Option<&'a str> {
    let start = text.find(&format!("async fn {function}("))?;
    let end = text[start..].find("\n}\n").map(|end| start + end)?;
    Some(&text[start..end])
}

#[test]
fn every_kind_of_job_goes_through_the_fault_kit() {
    let kinds: BTreeSet<&str> = definitions().iter().map(|definition| definition.kind).collect();
    let mut covered = BTreeSet::new();
    for scenario in scenarios() {
        let kind = (scenario.definition)().kind;
        assert!(covered.insert(kind), "{kind} is in the table twice");
        let Some(body) = body(scenario.text, scenario.function) else {
            panic!("{kind}: there is no {}", scenario.function)
        };
        assert!(body.contains("kit::faults("), "{kind}: {} has no faults", scenario.function);
        assert!(
            scenario.text.contains(&format!("{}()", scenario.written)),
            "{kind}: {} is nowhere in that file",
            scenario.written
        );
    }
    let without: Vec<&&str> = kinds.difference(&covered).collect();
    assert!(without.is_empty(), "these kinds of jobs meet no faults in any test: {without:?}");
    assert_eq!(covered, kinds);
}
