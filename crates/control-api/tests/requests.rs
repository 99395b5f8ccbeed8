//! Every documented rule about a request: a good body with one thing changed, and the code, the
//! status and the field that the answer names.

#![allow(clippy::unwrap_used)]

use base::api_error::ApiError;
use control_api::account::{CreateUser, CreateUsersRequest, UpdateUserRequest};
use control_api::administrator::AdministratorRequest;
use control_api::decode::{decode, decode_optional};
use control_api::instance::{
    Charge, CreateInstanceRequest, NewInstance, RenameInstanceRequest, RestartInstanceRequest,
    RestartKind, TIME_ZONES,
};
use control_api::instance_v3::CreateInstanceV3Request;
use control_api::schema::{CreateDatabasesRequest, Mode, NewSchema};
use control_api::schema_v3::CreateDatabaseV3Request;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// `good` with the value at `pointer` replaced (or, for `null`, left out).
fn changed(good: &Value, pointer: &str, value: Value) -> Vec<u8> {
    let mut body = good.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    if value.is_null() {
        parent.as_object_mut().unwrap().remove(name);
    } else if let Ok(index) = name.parse::<usize>() {
        parent[index] = value;
    } else {
        parent[name] = value;
    }
    body.to_string().into_bytes()
}

/// Each case: where, what, the code, the field named.
fn refuses<T, C>(
    good: &Value,
    check: fn(T) -> Result<C, ApiError>,
    cases: &[(&str, Value, &str, &str)],
) where
    T: DeserializeOwned,
    C: std::fmt::Debug,
{
    check(decode(good.to_string().as_bytes()).unwrap()).unwrap();
    for (pointer, value, code, field) in cases {
        let body = changed(good, pointer, value.clone());
        let error = decode::<T>(&body).and_then(check).expect_err(&format!("{pointer} = {value}"));
        assert_eq!(error.code.code, *code, "{pointer} = {value}: {error}");
        assert_eq!(error.status, 400, "{pointer} = {value}");
        assert_eq!(error.field.as_deref().unwrap_or(""), *field, "{pointer} = {value}: {error}");
    }
}

fn accepts<T, C>(good: &Value, check: fn(T) -> Result<C, ApiError>, cases: &[(&str, Value)])
where
    T: DeserializeOwned,
{
    for (pointer, value) in cases {
        let body = changed(good, pointer, value.clone());
        if let Err(error) = decode::<T>(&body).and_then(check) {
            panic!("{pointer} = {value}: {error}");
        }
    }
}

const P: &str = "DBS.280001";

fn instance() -> Value {
    json!({
        "instance": {
            "name": "ddm-test-001", "flavor_id": "f", "node_num": 2, "engine_id": "e", "enterprise_project_id": "0",
            "available_zones": ["az1"], "vpc_id": "v", "security_group_id": "s", "subnet_id": "n",
            "param_group_id": "p", "time_zone": "UTC+08:00", "admin_username": "root", "admin_password": "Str0ng-pass"
        },
        "extend_param": {
            "charge_mode": "prePaid", "period_type": "month", "period_num": 1, "is_auto_renew": "true",
            "is_auto_pay": "false"
        }
    })
}

#[test]
fn buying_an_instance() {
    let (good, long) = (instance(), "a".repeat(65));
    let check: fn(CreateInstanceRequest) -> Result<NewInstance, ApiError> =
        CreateInstanceRequest::check;
    refuses(
        &good,
        check,
        &[
            ("/instance", json!(null), P, "instance"),
            ("/instance", json!("x"), P, "instance"),
            ("/instance/name", json!(null), P, "instance.name"),
            ("/instance/name", json!(5), P, "instance.name"),
            ("/instance/name", json!("abc"), P, "instance.name"),
            ("/instance/name", json!(long), P, "instance.name"),
            ("/instance/name", json!("1abc"), P, "instance.name"),
            ("/instance/name", json!("ab_cd"), P, "instance.name"),
            ("/instance/name", json!("实例实例"), P, "instance.name"),
            ("/instance/flavor_id", json!(null), P, "instance.flavor_id"),
            ("/instance/flavor_id", json!(""), P, "instance.flavor_id"),
            ("/instance/node_num", json!(null), P, "instance.node_num"),
            ("/instance/node_num", json!("2"), P, "instance.node_num"),
            ("/instance/node_num", json!(1.5), P, "instance.node_num"),
            ("/instance/node_num", json!(0), P, "instance.node_num"),
            ("/instance/node_num", json!(-1), P, "instance.node_num"),
            ("/instance/node_num", json!(33), P, "instance.node_num"),
            ("/instance/engine_id", json!(null), P, "instance.engine_id"),
            ("/instance/available_zones", json!(null), P, "instance.available_zones"),
            ("/instance/available_zones", json!("az1"), P, "instance.available_zones"),
            ("/instance/available_zones", json!([]), P, "instance.available_zones"),
            ("/instance/available_zones", json!([""]), P, "instance.available_zones"),
            ("/instance/available_zones", json!([1]), P, "instance.available_zones[0]"),
            ("/instance/vpc_id", json!(null), P, "instance.vpc_id"),
            ("/instance/security_group_id", json!(null), P, "instance.security_group_id"),
            ("/instance/subnet_id", json!(null), P, "instance.subnet_id"),
            ("/instance/time_zone", json!("UTC+04:00"), "DBS.300376", "instance.time_zone"),
            ("/instance/time_zone", json!("CET"), "DBS.300376", "instance.time_zone"),
            ("/instance/admin_username", json!("1root"), "DBS.300305", "instance.admin_username"),
            ("/instance/admin_username", json!("ro-ot"), "DBS.300305", "instance.admin_username"),
            (
                "/instance/admin_username",
                json!("a".repeat(33)),
                "DBS.300305",
                "instance.admin_username",
            ),
            ("/instance/admin_username", json!(null), P, "instance.admin_username"),
            ("/instance/admin_password", json!(null), P, "instance.admin_password"),
            ("/instance/admin_password", json!("weak"), "DBS.300306", "instance.admin_password"),
            (
                "/instance/admin_password",
                json!("alllowercase"),
                "DBS.300306",
                "instance.admin_password",
            ),
            ("/extend_param", json!([]), P, "extend_param"),
            ("/extend_param/charge_mode", json!("free"), P, "extend_param.charge_mode"),
            ("/extend_param/period_type", json!("day"), P, "extend_param.period_type"),
            ("/extend_param/period_type", json!(null), P, "extend_param.period_type"),
            ("/extend_param/period_num", json!(null), P, "extend_param.period_num"),
            ("/extend_param/period_num", json!(0), P, "extend_param.period_num"),
            ("/extend_param/period_num", json!(10), P, "extend_param.period_num"),
            ("/extend_param/is_auto_renew", json!("yes"), P, "extend_param.is_auto_renew"),
            ("/extend_param/is_auto_pay", json!(1), P, "extend_param.is_auto_pay"),
        ],
    );
    accepts(
        &good,
        check,
        &[
            ("/extend_param", json!(null)),
            ("/instance/name", json!("abcd")),
            ("/instance/name", json!("a".repeat(64))),
            ("/instance/node_num", json!(32)),
            ("/instance/available_zones", json!(["az1", "az2"])),
            ("/instance/time_zone", json!(null)),
            ("/instance/param_group_id", json!(null)),
            ("/instance/unknown_field", json!({"x": 1})),
            ("/extend_param/period_num", json!(9)),
            ("/extend_param/is_auto_pay", json!(true)),
        ],
    );
    accepts(&good, check, &TIME_ZONES.map(|zone| ("/instance/time_zone", json!(zone))));
}

#[test]
fn both_spellings_of_the_administrator_and_of_payment_mean_the_same() {
    let mut body = instance();
    let detail = body["instance"].as_object_mut().unwrap();
    detail.remove("admin_username");
    detail.remove("admin_password");
    detail.insert("admin_user_name".into(), json!("boss"));
    detail.insert("admin_user_password".into(), json!("Str0ng-pass"));
    body["extend_param"] = json!({"charge_mode": "prePaid", "period_type": "year", "period_num": 1, "is_auto_pay": true});
    let order =
        decode::<CreateInstanceRequest>(body.to_string().as_bytes()).unwrap().check().unwrap();
    assert_eq!(order.administrator.unwrap().name, "boss");
    assert_eq!(order.charge, Charge::PrePaid { months: 12, auto_renew: false, auto_pay: true });
    body["extend_param"]["period_num"] = json!(2);
    assert!(decode::<CreateInstanceRequest>(body.to_string().as_bytes()).unwrap().check().is_err());
    body["extend_param"] = json!({"charge_mode": "postPaid", "period_num": 99});
    let order =
        decode::<CreateInstanceRequest>(body.to_string().as_bytes()).unwrap().check().unwrap();
    assert_eq!(order.charge, Charge::PostPaid, "the period is valid for prePaid alone");
}

#[test]
fn buying_an_instance_v3() {
    let good = json!({
        "name": "ddm_test", "available_zones": ["az1"], "node_num": 1, "flavor_ref": "ddm.c6.2xlarge.2", "vpc_id": "v",
        "subnet_id": "s", "charge_info": {"charge_mode": "prePaid", "period_num": 3, "period_type": "month", "is_auto_pay": true}
    });
    let check: fn(CreateInstanceV3Request) -> Result<NewInstance, ApiError> =
        CreateInstanceV3Request::check;
    refuses(
        &good,
        check,
        &[
            ("/name", json!("abc"), P, "name"),
            ("/flavor_ref", json!(null), P, "flavor_ref"),
            ("/node_num", json!(40), P, "node_num"),
            ("/available_zones", json!([]), P, "available_zones"),
            ("/time_zone", json!("UTC+13:00"), "DBS.300376", "time_zone"),
            ("/admin_user_name", json!("root"), P, "admin_user_password"),
            ("/charge_info/period_num", json!(10), P, "charge_info.period_num"),
            ("/charge_info/is_auto_pay", json!(7), P, "charge_info.is_auto_pay"),
        ],
    );
}

#[test]
fn renaming_and_restarting() {
    refuses(
        &json!({"name": "DDM-test-04"}),
        RenameInstanceRequest::check,
        &[
            ("/name", json!(null), P, "name"),
            ("/name", json!("x"), P, "name"),
            ("/name", json!(["x"]), P, "name"),
            ("/name", json!("DDM test"), P, "name"),
        ],
    );
    for (body, kind) in [
        ("", RestartKind::Soft),
        ("{}", RestartKind::Soft),
        (r#"{"restart":{}}"#, RestartKind::Soft),
        (r#"{"restart":{"type":"soft"}}"#, RestartKind::Soft),
        (r#"{"restart":{"type":"hard"}}"#, RestartKind::Hard),
    ] {
        assert_eq!(
            decode_optional::<RestartInstanceRequest>(body.as_bytes()).unwrap().check(),
            Ok(kind),
            "{body}"
        );
    }
    refuses(
        &json!({"restart": {"type": "soft"}}),
        RestartInstanceRequest::check,
        &[
            ("/restart/type", json!("cold"), P, "restart.type"),
            ("/restart/type", json!(1), P, "restart.type"),
            ("/restart", json!("soft"), P, "restart"),
        ],
    );
}

fn data_node(number: u32) -> Value {
    json!({"id": format!("{number:032x}in01"), "adminUser": "root", "adminPassword": "secret"})
}

#[test]
fn creating_a_schema() {
    let two = json!([data_node(1), data_node(2)]);
    let good = json!({"databases": [
        {"name": "mytestdb", "shard_mode": "cluster", "shard_number": 16, "shard_unit": 8, "used_rds": two}
    ]});
    let check: fn(CreateDatabasesRequest) -> Result<Vec<NewSchema>, ApiError> =
        CreateDatabasesRequest::check;
    let many: Vec<Value> = (0..257).map(data_node).collect();
    refuses(
        &good,
        check,
        &[
            ("/databases", json!(null), P, "databases"),
            ("/databases", json!([]), P, "databases"),
            ("/databases", json!({}), P, "databases"),
            ("/databases/0/name", json!(null), P, "databases[0].name"),
            ("/databases/0/name", json!("a"), "DBS.300405", "databases[0].name"),
            ("/databases/0/name", json!("a".repeat(49)), "DBS.300405", "databases[0].name"),
            ("/databases/0/name", json!("MyDb"), "DBS.300407", "databases[0].name"),
            ("/databases/0/name", json!("mysql"), "DBS.300406", "databases[0].name"),
            ("/databases/0/name", json!("information_schema"), "DBS.300406", "databases[0].name"),
            ("/databases/0/name", json!("performance_schema"), "DBS.300406", "databases[0].name"),
            ("/databases/0/name", json!("sys"), "DBS.300406", "databases[0].name"),
            ("/databases/0/name", json!("my_sys_db"), "DBS.300406", "databases[0].name"),
            ("/databases/0/name", json!("1db"), "DBS.300109", "databases[0].name"),
            ("/databases/0/name", json!("_db"), "DBS.300109", "databases[0].name"),
            ("/databases/0/name", json!("my-db"), "DBS.300109", "databases[0].name"),
            ("/databases/0/name", json!("库库"), "DBS.300109", "databases[0].name"),
            ("/databases/0/shard_mode", json!(null), P, "databases[0].shard_mode"),
            ("/databases/0/shard_mode", json!("sharded"), "DBS.300104", "databases[0].shard_mode"),
            ("/databases/0/shard_number", json!(null), P, "databases[0].shard_number"),
            ("/databases/0/shard_number", json!("16"), P, "databases[0].shard_number"),
            ("/databases/0/shard_number", json!(8), "DBS.300127", "databases[0].shard_number"),
            ("/databases/0/shard_unit", json!(0), "DBS.300106", "databases[0].shard_unit"),
            ("/databases/0/shard_unit", json!(65), "DBS.300106", "databases[0].shard_unit"),
            ("/databases/0/shard_unit", json!(4), "DBS.300127", "databases[0].shard_number"),
            ("/databases/0/used_rds", json!(null), P, "databases[0].used_rds"),
            ("/databases/0/used_rds", json!([]), "DBS.300102", "databases[0].used_rds"),
            ("/databases/0/used_rds", json!(many), "DBS.300102", "databases[0].used_rds"),
            (
                "/databases/0/used_rds",
                json!([data_node(1), data_node(1)]),
                "DBS.300108",
                "databases[0].used_rds[1].id",
            ),
            (
                "/databases/0/used_rds/1/id",
                json!("nowhere"),
                "DBS.300103",
                "databases[0].used_rds[1].id",
            ),
            (
                "/databases/0/used_rds/1/adminUser",
                json!(null),
                P,
                "databases[0].used_rds[1].adminUser",
            ),
            (
                "/databases/0/used_rds/1/adminPassword",
                json!(null),
                P,
                "databases[0].used_rds[1].adminPassword",
            ),
            (
                "/databases/0/used_rds/1/adminPassword",
                json!(4711),
                P,
                "databases[0].used_rds[1].adminPassword",
            ),
        ],
    );
}

#[test]
fn numbers_of_shards() {
    // mode, data nodes, shard_number, shard_unit, the code or what is made
    type Case = (&'static str, u32, i64, Option<i64>, Result<u32, &'static str>);
    let cases: &[Case] = &[
        ("cluster", 2, 8, None, Ok(8)),
        ("cluster", 2, 2, None, Ok(2)),
        ("cluster", 1, 1, None, Ok(1)),
        ("cluster", 3, 7, None, Ok(7)),
        ("cluster", 2, 128, None, Ok(128)),
        ("cluster", 2, 129, None, Err("DBS.300127")),
        ("cluster", 2, 1, None, Err("DBS.300127")),
        ("cluster", 2, 0, None, Err("DBS.300127")),
        ("cluster", 2, -8, None, Err("DBS.300127")),
        ("cluster", 2, i64::MAX, None, Err("DBS.300127")),
        ("cluster", 2, 128, Some(64), Ok(128)),
        ("cluster", 2, 8, Some(8), Err("DBS.300127")),
        ("single", 1, 1, None, Ok(1)),
        ("single", 1, 1, Some(1), Ok(1)),
        ("single", 1, 2, None, Err("DBS.300127")),
        ("single", 1, 1, Some(2), Err("DBS.300106")),
        ("single", 2, 1, None, Err("DBS.300102")),
    ];
    for (mode, nodes, number, unit, expected) in cases {
        let nodes: Vec<Value> = (0..*nodes).map(data_node).collect();
        let body = json!({"databases": [{"name": "db_1", "shard_mode": mode, "shard_number": number, "shard_unit": unit, "used_rds": nodes}]});
        let made = decode::<CreateDatabasesRequest>(body.to_string().as_bytes()).unwrap().check();
        let made = made.map(|schemas| schemas[0].shard_count).map_err(|error| error.code.code);
        assert_eq!(made, *expected, "{body}");
    }
    let twice = json!({"databases": [
        {"name": "db_1", "shard_mode": "single", "shard_number": 1, "used_rds": [data_node(1)]},
        {"name": "db_1", "shard_mode": "single", "shard_number": 1, "used_rds": [data_node(1)]},
    ]});
    let error = decode::<CreateDatabasesRequest>(twice.to_string().as_bytes())
        .unwrap()
        .check()
        .unwrap_err();
    assert_eq!(
        (error.code.code, error.field.as_deref()),
        ("DBS.300112", Some("databases[1].name"))
    );
}

#[test]
fn creating_a_schema_v3() {
    let node =
        json!({"id": format!("{:032x}in01", 1), "user_name": "root", "user_password": "secret"});
    let good =
        json!({"name": "db_1", "shard_mode": "cluster", "shard_number": 4, "dn_instances": [node]});
    let schema =
        decode::<CreateDatabaseV3Request>(good.to_string().as_bytes()).unwrap().check().unwrap();
    assert_eq!((schema.mode, schema.shard_count, schema.data_nodes.len()), (Mode::Cluster, 4, 1));
    refuses(
        &good,
        CreateDatabaseV3Request::check,
        &[
            ("/name", json!("DB"), "DBS.300407", "name"),
            ("/shard_number", json!(65), "DBS.300127", "shard_number"),
            ("/dn_instances", json!([]), "DBS.300102", "dn_instances"),
            ("/dn_instances/0/user_password", json!(null), P, "dn_instances[0].user_password"),
        ],
    );
}

#[test]
fn creating_and_changing_accounts() {
    let good = json!({"users": [{
        "name": "DDMuser1", "password": "Str0ng-pass", "base_authority": ["CREATE", "SELECT"], "description": "",
        "databases": [{"name": "DDMdb1"}]
    }]});
    refuses(
        &good,
        CreateUsersRequest::check,
        &[
            ("/users", json!(null), P, "users"),
            ("/users", json!([]), P, "users"),
            ("/users/0/name", json!(null), P, "users[0].name"),
            ("/users/0/name", json!(""), "DBS.300305", "users[0].name"),
            ("/users/0/name", json!("1a"), "DBS.300305", "users[0].name"),
            ("/users/0/name", json!("a-b"), "DBS.300305", "users[0].name"),
            ("/users/0/name", json!("a".repeat(33)), "DBS.300305", "users[0].name"),
            ("/users/0/password", json!(null), P, "users[0].password"),
            ("/users/0/password", json!("short1A"), "DBS.300306", "users[0].password"),
            ("/users/0/password", json!("Space here1"), "DBS.300306", "users[0].password"),
            ("/users/0/base_authority", json!(null), P, "users[0].base_authority"),
            ("/users/0/base_authority", json!([]), "DBS.300309", "users[0].base_authority"),
            ("/users/0/base_authority", json!(["GRANT"]), "DBS.300309", "users[0].base_authority"),
            ("/users/0/base_authority", json!("SELECT"), P, "users[0].base_authority"),
            ("/users/0/description", json!("x".repeat(257)), "DBS.300307", "users[0].description"),
            ("/users/0/databases", json!([{}]), P, "users[0].databases[0].name"),
        ],
    );
    accepts(
        &good,
        CreateUsersRequest::check,
        &[
            ("/users/0/databases", json!(null)),
            ("/users/0/description", json!("说".repeat(256))),
            ("/users/0/name", json!("a")),
        ],
    );
    let twice = json!({"users": [good["users"][0], good["users"][0]]});
    let error =
        decode::<CreateUsersRequest>(twice.to_string().as_bytes()).unwrap().check().unwrap_err();
    assert_eq!(error.code.code, "DBS.300107");
    let one =
        decode::<CreateUser>(good["users"][0].to_string().as_bytes()).unwrap().check("").unwrap();
    assert_eq!(
        one.schemas.into_iter().collect::<Vec<_>>(),
        ["ddmdb1"],
        "schema names are case-insensitive"
    );

    let change = json!({"user": {"base_authority": ["SELECT"], "description": "x", "databases": [{"name": "db_1"}]}});
    refuses(
        &change,
        |request: UpdateUserRequest| request.user.check("user."),
        &[
            ("/user", json!(null), P, "user"),
            ("/user", json!({}), P, "user"),
            ("/user/base_authority", json!(["select"]), "DBS.300309", "user.base_authority"),
            ("/user/description", json!("x".repeat(257)), "DBS.300307", "user.description"),
            ("/user/databases", json!([{"name": ""}]), P, "user.databases[0].name"),
        ],
    );
}

#[test]
fn setting_the_administrator() {
    refuses(
        &json!({"name": "root", "password": "Str0ng-pass"}),
        AdministratorRequest::check,
        &[
            ("/name", json!(null), P, "name"),
            ("/name", json!("9root"), "DBS.300305", "name"),
            ("/password", json!(null), P, "password"),
            ("/password", json!("root"), "DBS.300306", "password"),
        ],
    );
}
