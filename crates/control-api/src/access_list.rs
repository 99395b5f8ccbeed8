//! Access lists of groups: the clients that a group's nodes take (white), or do not take (black),
//! beside the security group's rules.

use crate::decode::flag;
use crate::security_group::{description, network};
use base::api_error::ApiError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;
use utoipa::ToSchema;

/// Longest list.
pub const ENTRIES_MAX: usize = 300;

/// Longest name.
pub const LIST_NAME_CHARS_MAX: usize = 64;

/// Body of the call that sets a group's access list. What is left out stays as it is.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct SetAccessListRequest {
    /// Its name, at most 64 characters.
    pub name: Option<String>,
    /// `white` or `black`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Switches it on or off.
    #[serde(default, deserialize_with = "flag")]
    #[schema(value_type = Option<bool>)]
    pub enable_ip_group: Option<bool>,
    /// The list's id, which is the group's.
    pub group_id: Option<String>,
    /// The clients, at most 300 entries.
    pub ip_list: Option<Vec<AccessEntry>>,
}

/// Clients in a list.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct AccessEntry {
    /// An address or a network (`10.0.0.0/8`).
    pub ip: String,
    /// What it is for.
    pub description: Option<String>,
}

/// A change of an access list, well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessListChange {
    /// Another name.
    pub name: Option<String>,
    /// The listed are the only ones that may come, or not.
    pub only_listed: Option<bool>,
    /// Switched on or off.
    pub enabled: Option<bool>,
    /// The list's id as the request has it.
    pub group_id: Option<String>,
    /// Other clients.
    pub entries: Option<Vec<NewAccessEntry>>,
}

/// Clients for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccessEntry {
    /// As given.
    pub ip: String,
    /// Their network, the bits after the prefix zero.
    pub network: IpAddr,
    /// How many of its bits count.
    pub prefix: u8,
    /// What it is for.
    pub description: String,
}

impl SetAccessListRequest {
    /// The command, if nothing is wrong.
    pub fn check(self) -> Result<AccessListChange, ApiError> {
        let only_listed = match self.kind.as_deref() {
            None => None,
            Some("white") => Some(true),
            Some("black") => Some(false),
            Some(_) => {
                return Err(ApiError::parameter(
                    "type",
                    "must be white or black",
                    "取值为white或black",
                ));
            }
        };
        Ok(AccessListChange {
            name: self.name.map(check_name).transpose()?,
            only_listed,
            enabled: self.enable_ip_group,
            group_id: self.group_id.filter(|id| !id.is_empty()),
            entries: self.ip_list.map(check_entries).transpose()?,
        })
    }
}

fn check_name(name: String) -> Result<String, ApiError> {
    let wrong = |c: char| c.is_control() || matches!(c, '<' | '>');
    if name.chars().count() > LIST_NAME_CHARS_MAX || name.chars().any(wrong) {
        return Err(ApiError::parameter(
            "name",
            "must have at most 64 characters, without < and >",
            "长度不能超过64个字符，且不能包含<和>",
        ));
    }
    Ok(name)
}

fn check_entries(given: Vec<AccessEntry>) -> Result<Vec<NewAccessEntry>, ApiError> {
    if given.len() > ENTRIES_MAX {
        return Err(ApiError::parameter(
            "ip_list",
            format!("must have at most {ENTRIES_MAX} entries"),
            format!("最多{ENTRIES_MAX}条"),
        ));
    }
    let mut seen = BTreeSet::new();
    let mut entries = Vec::with_capacity(given.len());
    for entry in given {
        let (network, prefix) = network(&entry.ip).ok_or_else(|| {
            ApiError::parameter(
                "ip_list[].ip",
                "must be a network (10.0.0.0/8) or an address",
                "必须为网段（如10.0.0.0/8）或IP地址",
            )
        })?;
        if !seen.insert((network, prefix)) {
            return Err(ApiError::parameter("ip_list[].ip", "is there twice", "重复"));
        }
        let description =
            description(entry.description).map_err(|error| error.field("ip_list[].description"))?;
        entries.push(NewAccessEntry { ip: entry.ip, network, prefix, description });
    }
    Ok(entries)
}

/// Answer of the call that sets a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SetAccessListResponse {
    /// Whether it is switched on.
    pub enable_ipgroup: bool,
}

/// Answer of the call that shows a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShowAccessListResponse {
    /// The instance.
    pub instance_id: String,
    /// The group.
    pub group_id: String,
    /// Whether it is switched on.
    pub enable_ipgroup: bool,
    /// `white` or `black`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The list.
    pub ipgroup: AccessListRow,
}

/// A list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccessListRow {
    /// Its id, which is the group's.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The clients.
    pub ip_list: Vec<AccessEntry>,
}
