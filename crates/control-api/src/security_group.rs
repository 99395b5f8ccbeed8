//! Security groups and their rules: calls of our own, and the two documented calls that give an
//! instance another group.

use crate::decode::required;
use base::api_error::{ApiError, SECURITY_GROUP_INVALID};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::ToSchema;

/// Longest name of a group.
pub const NAME_CHARS_MAX: usize = 64;

/// Longest description of a group or rule.
pub const DESCRIPTION_CHARS_MAX: usize = 255;

/// Body of the calls that give an instance another group.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ModifySecurityGroupRequest {
    /// The group.
    pub security_group_id: String,
}

impl ModifySecurityGroupRequest {
    /// The group's id.
    pub fn check(self) -> Result<String, ApiError> {
        if self.security_group_id.is_empty() {
            return Err(ApiError::new(SECURITY_GROUP_INVALID).field("security_group_id"));
        }
        Ok(self.security_group_id)
    }
}

/// Answer of the v1 call that gives an instance another group.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModifySecurityGroupResponse {
    /// The group.
    pub security_group_id: String,
}

/// Body of the call that makes a group.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CreateSecurityGroupRequest {
    /// Its name, 1–64 characters.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
}

/// A group to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSecurityGroup {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
}

impl CreateSecurityGroupRequest {
    /// What is to be made.
    pub fn check(self) -> Result<NewSecurityGroup, ApiError> {
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let count = self.name.chars().count();
        if count == 0 || count > NAME_CHARS_MAX || !self.name.chars().all(allowed) {
            return Err(ApiError::parameter(
                "name",
                "must have 1 to 64 letters, digits, underscores, hyphens and periods",
                "长度为1~64个字符，只能包含字母、数字、下划线、中划线和点",
            ));
        }
        Ok(NewSecurityGroup { name: self.name, description: description(self.description)? })
    }
}

pub(crate) fn description(given: Option<String>) -> Result<String, ApiError> {
    let text = given.unwrap_or_default();
    let wrong = |c: char| c.is_control() || matches!(c, '<' | '>');
    if text.chars().count() > DESCRIPTION_CHARS_MAX || text.chars().any(wrong) {
        return Err(ApiError::parameter(
            "description",
            "must have at most 255 characters, without < and >",
            "长度不能超过255个字符，且不能包含<和>",
        ));
    }
    Ok(text)
}

/// Body of the call that makes a rule.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CreateSecurityGroupRuleRequest {
    /// The clients' network (`10.0.0.0/8`), or one address.
    pub cidr: Option<String>,
    /// The same by its other name.
    pub remote_ip_prefix: Option<String>,
    /// The first port; 1 when both are left out.
    pub port_range_min: Option<i64>,
    /// The last port; 65535 when both are left out.
    pub port_range_max: Option<i64>,
    /// `tcp`.
    pub protocol: Option<String>,
    /// `ingress`.
    pub direction: Option<String>,
    /// What it is for.
    pub description: Option<String>,
}

/// A rule to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSecurityGroupRule {
    /// The clients' network, the bits after the prefix zero.
    pub network: IpAddr,
    /// How many of its bits count.
    pub prefix: u8,
    /// The first port.
    pub port_min: u16,
    /// The last port.
    pub port_max: u16,
    /// What it is for.
    pub description: String,
}

impl CreateSecurityGroupRuleRequest {
    /// What is to be made.
    pub fn check(self) -> Result<NewSecurityGroupRule, ApiError> {
        let (field, cidr) = match (self.cidr, self.remote_ip_prefix) {
            (Some(cidr), None) => ("cidr", cidr),
            (None, Some(prefix)) => ("remote_ip_prefix", prefix),
            (Some(cidr), Some(prefix)) if cidr == prefix => ("cidr", cidr),
            (Some(_), Some(_)) => {
                return Err(ApiError::parameter(
                    "remote_ip_prefix",
                    "must be the same as cidr when both are given",
                    "与cidr同时指定时必须相同",
                ));
            }
            (None, None) => return Err(required("cidr")),
        };
        let (network, prefix) = network(&cidr).ok_or_else(|| {
            ApiError::parameter(
                field,
                "must be a network (10.0.0.0/8) or an address",
                "必须为网段（如10.0.0.0/8）或IP地址",
            )
        })?;
        only("protocol", self.protocol, "tcp")?;
        only("direction", self.direction, "ingress")?;
        let (port_min, port_max) = ports(self.port_range_min, self.port_range_max)?;
        let description = description(self.description)?;
        Ok(NewSecurityGroupRule { network, prefix, port_min, port_max, description })
    }
}

fn only(field: &str, given: Option<String>, value: &str) -> Result<(), ApiError> {
    match given {
        Some(given) if !given.eq_ignore_ascii_case(value) => Err(ApiError::parameter(
            field,
            format!("must be {value}"),
            format!("取值只能为{value}"),
        )),
        _ => Ok(()),
    }
}

/// One port given alone is the only one.
fn ports(min: Option<i64>, max: Option<i64>) -> Result<(u16, u16), ApiError> {
    let port = |field: &str, given: i64| {
        u16::try_from(given).ok().filter(|port| *port > 0).ok_or_else(|| {
            ApiError::parameter(field, "must be from 1 to 65535", "取值范围为1~65535")
        })
    };
    let min = min.map(|given| port("port_range_min", given)).transpose()?;
    let max = max.map(|given| port("port_range_max", given)).transpose()?;
    match (min, max) {
        (None, None) => Ok((1, u16::MAX)),
        (Some(one), None) | (None, Some(one)) => Ok((one, one)),
        (Some(min), Some(max)) if min <= max => Ok((min, max)),
        (Some(_), Some(_)) => Err(ApiError::parameter(
            "port_range_max",
            "must not be less than port_range_min",
            "不能小于port_range_min",
        )),
    }
}

/// A network in its canonical form: bits after the prefix are zero.
pub(crate) fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width: u8 = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => width,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok().filter(|prefix| *prefix <= width)?
        }
        Some(_) => return None,
    };
    let ignored = u32::from(width - prefix);
    let masked = match address {
        IpAddr::V4(v4) => {
            IpAddr::V4(v4.to_bits().checked_shr(ignored).map_or(0, |bits| bits << ignored).into())
        }
        IpAddr::V6(v6) => {
            IpAddr::V6(v6.to_bits().checked_shr(ignored).map_or(0, |bits| bits << ignored).into())
        }
    };
    Some((masked, prefix))
}

/// A group.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SecurityGroup {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whether it is the group that instances get when none is named.
    pub is_default: bool,
    /// When it was made.
    pub created: String,
    /// When it last changed.
    pub updated: String,
    /// Its rules.
    pub rules: Vec<SecurityGroupRule>,
}

/// A rule.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SecurityGroupRule {
    /// Its id.
    pub id: String,
    /// The group.
    pub security_group_id: String,
    /// The clients' network.
    pub cidr: String,
    /// The same by its other name.
    pub remote_ip_prefix: String,
    /// The first port.
    pub port_range_min: u16,
    /// The last port.
    pub port_range_max: u16,
    /// `tcp`.
    pub protocol: String,
    /// `ingress`.
    pub direction: String,
    /// What it is for.
    pub description: String,
    /// When it was made.
    pub created: String,
}

/// Answer of the list of groups.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListSecurityGroupsResponse {
    /// The page's groups, the default one first.
    pub security_groups: Vec<SecurityGroup>,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Groups in all.
    pub total: u64,
}

/// Answer of the list of rules.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListSecurityGroupRulesResponse {
    /// The page's rules.
    pub rules: Vec<SecurityGroupRule>,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Rules in all.
    pub total: u64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::decode::decode;
    use serde_json::json;

    fn rule(body: serde_json::Value) -> Result<NewSecurityGroupRule, ApiError> {
        decode::<CreateSecurityGroupRuleRequest>(body.to_string().as_bytes())?.check()
    }

    #[test]
    fn rules_are_brought_to_one_form() {
        for (body, network, prefix, ports) in [
            (json!({"cidr": "10.1.2.3/8"}), "10.0.0.0", 8, (1, 65_535)),
            (json!({"cidr": "10.1.2.3"}), "10.1.2.3", 32, (1, 65_535)),
            (
                json!({"remote_ip_prefix": "0.0.0.0/0", "port_range_min": 5066}),
                "0.0.0.0",
                0,
                (5_066, 5_066),
            ),
            (
                json!({"cidr": "fd00::1/8", "protocol": "TCP", "direction": "ingress"}),
                "fd00::",
                8,
                (1, 65_535),
            ),
            (json!({"cidr": "::/0", "port_range_min": 1, "port_range_max": 9}), "::", 0, (1, 9)),
        ] {
            let made = rule(body).unwrap();
            assert_eq!((made.network, made.prefix), (network.parse().unwrap(), prefix));
            assert_eq!((made.port_min, made.port_max), ports);
        }
    }

    #[test]
    fn wrong_rules_name_their_field() {
        for (body, field) in [
            (json!({}), "cidr"),
            (json!({"cidr": "10.0.0.0/33"}), "cidr"),
            (json!({"cidr": "10.0.0.0/+8"}), "cidr"),
            (json!({"cidr": "10.0.0.0/"}), "cidr"),
            (json!({"cidr": ""}), "cidr"),
            (json!({"cidr": 7}), "cidr"),
            (json!({"remote_ip_prefix": "host"}), "remote_ip_prefix"),
            (json!({"cidr": "10.0.0.0/8", "remote_ip_prefix": "11.0.0.0/8"}), "remote_ip_prefix"),
            (json!({"cidr": "::1", "port_range_min": 0}), "port_range_min"),
            (json!({"cidr": "::1", "port_range_max": 65_536}), "port_range_max"),
            (json!({"cidr": "::1", "port_range_min": 9, "port_range_max": 8}), "port_range_max"),
            (json!({"cidr": "::1", "protocol": "udp"}), "protocol"),
            (json!({"cidr": "::1", "direction": "egress"}), "direction"),
            (json!({"cidr": "::1", "description": "<b>"}), "description"),
        ] {
            let error = rule(body.clone()).unwrap_err();
            assert_eq!(
                (error.code.code, error.field.as_deref()),
                ("DBS.280001", Some(field)),
                "{body}"
            );
        }
    }

    #[test]
    fn groups_have_names() {
        let group = |name: &str| {
            CreateSecurityGroupRequest { name: name.to_owned(), description: None }.check()
        };
        assert_eq!(group("web-1_x.y").unwrap().name, "web-1_x.y");
        for bad in ["", "a b", "a/b", &"x".repeat(65)] {
            assert_eq!(group(bad).unwrap_err().field.as_deref(), Some("name"), "{bad}");
        }
    }
}
