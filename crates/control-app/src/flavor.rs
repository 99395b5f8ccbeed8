//! Node classes: the documents' list, and two smaller ones of their examples that suit a small
//! machine. A class bounds a node's worker threads and memory.

use crate::app::App;
use crate::engine;
use base::api_error::ApiError;
use control_api::flavor::{
    Flavor, FlavorAz, FlavorGroup, FlavorGroupV3, FlavorV3, ListFlavorsResponse,
    ListFlavorsV3Response,
};
use control_api::instance::{EngineChoice, FlavorChoice};
use control_api::paging::{Page, total};
use std::collections::BTreeMap;

/// A node class.
#[derive(Debug, PartialEq, Eq)]
pub struct NodeClass {
    /// Its id.
    pub id: &'static str,
    /// Its code.
    pub code: &'static str,
    /// vCPUs.
    pub vcpus: u32,
    /// Memory in GB.
    pub memory_gb: u32,
    /// `X86` or `ARM`.
    pub architecture: &'static str,
}

/// Architectures in the order in which they are listed.
const ARCHITECTURES: [&str; 2] = ["X86", "ARM"];

const fn class(
    id: &'static str,
    code: &'static str,
    vcpus: u32,
    memory_gb: u32,
    architecture: &'static str,
) -> NodeClass {
    NodeClass { id, code, vcpus, memory_gb, architecture }
}

/// All classes.
pub static NODE_CLASSES: [NodeClass; 8] = [
    class("94684876-8430-3526-bc59-8b57de67df6a", "ddm.c6.large.2", 2, 4, "X86"),
    class("e55ac218-5bdc-39f5-8217-bdf2ca1cbda9", "ddm.c6.xlarge.2", 4, 8, "X86"),
    class("615833ab-71a2-3032-90f4-e5888df43e1d", "ddm.c6.2xlarge.2", 8, 16, "X86"),
    class("ad951125-8d0c-3fff-ba04-382783494168", "ddm.c6.4xlarge.2", 16, 32, "X86"),
    class("b2409d4e-7995-38d8-9ff2-a10a871b8ab0", "ddm.c6.8xlarge.2", 32, 64, "X86"),
    class("4d1a3b84-ff94-3684-8d63-8c982c52b501", "ddm.kc1.2xlarge.2", 8, 16, "ARM"),
    class("862d30df-b66e-307e-b958-334b66f12772", "ddm.kc1.4xlarge.2", 16, 32, "ARM"),
    class("0f604c41-c5bd-3278-b319-b86a3961ed27", "ddm.kc1.8xlarge.2", 32, 64, "ARM"),
];

/// The class that `choice` names.
pub fn resolve(choice: &FlavorChoice) -> Result<&'static NodeClass, ApiError> {
    let (field, found) = match choice {
        FlavorChoice::Id(id) => {
            ("instance.flavor_id", NODE_CLASSES.iter().find(|class| class.id == id))
        }
        FlavorChoice::Code(code) => {
            ("flavor_ref", NODE_CLASSES.iter().find(|class| class.code == code))
        }
    };
    found.ok_or_else(|| ApiError::parameter(field, "is no known node class", "节点规格不存在"))
}

/// The class with this code.
pub fn by_code(code: &str) -> Option<&'static NodeClass> {
    NODE_CLASSES.iter().find(|class| class.code == code)
}

impl App {
    /// `GET /v2/{project_id}/flavors`
    pub fn list_flavors(
        &self,
        engine_id: Option<&str>,
        page: Page,
    ) -> Result<ListFlavorsResponse, ApiError> {
        let engine_id = engine_id.ok_or_else(|| control_api::decode::required("engine_id"))?;
        engine::resolve(&EngineChoice::Id(engine_id.to_owned()))
            .map_err(|error| error.field("engine_id"))?;
        let groups = ARCHITECTURES.map(|architecture| {
            let all: Vec<Flavor> =
                classes_of(architecture).map(|class| self.flavor(class)).collect();
            FlavorGroup {
                group_type: architecture.to_owned(),
                total: total(&all),
                compute_flavors: page.cut(all),
                offset: page.offset,
                limit: page.limit,
            }
        });
        Ok(ListFlavorsResponse { compute_flavor_groups: groups.into() })
    }

    fn flavor(&self, class: &NodeClass) -> Flavor {
        let zones = &self.settings.availability_zones;
        let joined = zones.join(",");
        Flavor {
            id: class.id.to_owned(),
            type_code: "cloudtype.resource.type.ddm".to_owned(),
            code: class.code.to_owned(),
            iaas_code: class.code.trim_start_matches("ddm.").to_owned(),
            cpu: class.vcpus.to_string(),
            mem: class.memory_gb.to_string(),
            max_connections: None,
            server_type: "process".to_owned(),
            architecture: class.architecture.to_owned(),
            az_status: zones.iter().map(|zone| (zone.clone(), "normal".to_owned())).collect(),
            region_status: "normal".to_owned(),
            group_type: class.architecture.to_owned(),
            db_type: "DDM".to_owned(),
            extend_fields: BTreeMap::from([
                ("azCode".to_owned(), joined.clone()),
                ("azDescription".to_owned(), joined),
            ]),
        }
    }

    /// `GET /v3/{project_id}/flavors`
    pub fn list_flavors_v3(
        &self,
        engine_id: Option<&str>,
        engine_version: Option<&str>,
        zones: Option<&str>,
        page: Page,
    ) -> Result<ListFlavorsV3Response, ApiError> {
        if let Some(id) = engine_id {
            engine::resolve(&EngineChoice::Id(id.to_owned()))
                .map_err(|error| error.field("engine_id"))?;
        }
        if let Some(version) = engine_version {
            engine::resolve(&EngineChoice::Version(version.to_owned()))?;
        }
        let asked: Option<Vec<&str>> = zones.map(|zones| zones.split(',').map(str::trim).collect());
        let shown = self
            .settings
            .availability_zones
            .iter()
            .filter(|zone| asked.as_ref().is_none_or(|asked| asked.contains(&zone.as_str())));
        let az_infos: Vec<FlavorAz> = shown
            .map(|zone| FlavorAz {
                code: zone.clone(),
                description: zone.clone(),
                status: "normal".to_owned(),
                support_ipv6: false,
            })
            .collect();
        let groups = ARCHITECTURES.map(|architecture| {
            let row = |class: &NodeClass| FlavorV3 {
                id: class.id.to_owned(),
                spec_code: class.code.to_owned(),
                vcpus: class.vcpus.to_string(),
                ram: class.memory_gb.to_string(),
                az_infos: az_infos.clone(),
            };
            let all: Vec<FlavorV3> = classes_of(architecture).map(row).collect();
            FlavorGroupV3 {
                group_type: architecture.to_owned(),
                total: total(&all),
                flavors: page.cut(all),
                offset: page.offset,
                limit: page.limit,
            }
        });
        Ok(ListFlavorsV3Response { flavor_groups: groups.into() })
    }
}

fn classes_of(architecture: &'static str) -> impl Iterator<Item = &'static NodeClass> {
    NODE_CLASSES.iter().filter(move |class| class.architecture == architecture)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn classes_are_found_by_id_and_code() {
        let ids: BTreeSet<&str> = NODE_CLASSES.iter().map(|class| class.id).collect();
        assert_eq!(ids.len(), NODE_CLASSES.len());
        for class in &NODE_CLASSES {
            assert_eq!(resolve(&FlavorChoice::Id(class.id.to_owned())), Ok(class));
            assert_eq!(resolve(&FlavorChoice::Code(class.code.to_owned())), Ok(class));
        }
        assert_eq!(
            resolve(&FlavorChoice::Id("x".to_owned())).map_err(|error| error.code.code),
            Err("DBS.280001")
        );
    }
}
