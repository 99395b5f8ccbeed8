//! `ddm ctl` against a server that records what it is asked and answers from a list.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};

/// One request as it came.
#[derive(Debug)]
struct Seen {
    line: String,
    headers: String,
    body: Value,
}

/// Answers the requests in order, each on its own connection.
fn serve(answers: Vec<(u16, Value)>) -> (String, Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, seen) = channel();
    std::thread::spawn(move || {
        for (status, answer) in answers {
            let (stream, _) = listener.accept().unwrap();
            sender.send(exchange(stream, status, &answer)).unwrap();
        }
    });
    (endpoint, seen)
}

fn exchange(mut stream: TcpStream, status: u16, answer: &Value) -> Seen {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut headers = String::new();
    while !headers.ends_with("\r\n\r\n") && reader.read_line(&mut headers).unwrap() > 2 {}
    let length = headers
        .to_lowercase()
        .lines()
        .find_map(|header| header.strip_prefix("content-length: ")?.parse::<usize>().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let answer = answer.to_string();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nX-Subject-Token: tok\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{answer}",
        answer.len()
    )
    .unwrap();
    Seen {
        line: line.trim_end().to_owned(),
        headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    }
}

fn ctl(endpoint: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ddm"))
        .args(["ctl", "--endpoint", endpoint, "--project-id", "p1", "--data-dir", "/nonexistent"])
        .args(arguments)
        .output()
        .unwrap()
}

const KEYS: [&str; 4] = ["--access-key", "AK", "--secret-key", "SK"];
const ID: &str = "0123456789abcdef0123456789abcdefin09";

#[test]
fn a_list_is_a_table_or_json() {
    let instance = json!({"name": "shop", "status": "RUNNING", "access_ip": "127.77.0.1", "access_port": "5066",
        "node_count": 2, "engine_version": "3.1", "id": ID});
    let list = json!({ "instances": [instance] });
    let (endpoint, seen) = serve(vec![(200, list.clone()), (200, list)]);
    let output = ctl(&endpoint, &[&KEYS[..], &["instances", "list"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(
        text.contains("NAME") && text.contains("shop") && text.contains("127.77.0.1"),
        "{text}"
    );
    let request = seen.recv().unwrap();
    assert_eq!(request.line, "GET /v1/p1/instances?limit=100&offset=0 HTTP/1.1");
    let headers = request.headers.to_lowercase();
    assert!(
        headers.contains("authorization: sdk-hmac-sha256 access=ak, signedheaders=host;x-sdk-date"),
        "{headers}"
    );
    assert!(headers.contains("x-sdk-date: 20"), "{headers}");

    let output = ctl(&endpoint, &[&KEYS[..], &["--output", "json", "instances", "list"]].concat());
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows[0]["id"], ID);
}

#[test]
fn a_job_is_waited_for() {
    let job = |status: &str, process: &str| {
        (
            200,
            json!({"job": {"id": "j", "name": "Restart", "status": status, "process": process, "fail_reason": "no room"}}),
        )
    };
    let started = (200, json!({ "instanceId": ID, "jobId": "j1" }));
    let (endpoint, seen) =
        serve(vec![started.clone(), job("Running", "50%"), job("Completed", "")]);
    let output = ctl(
        &endpoint,
        &[&KEYS[..], &["--output", "json", "instances", "restart", "--hard", ID]].concat(),
    );
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["job"]["status"], "Completed");
    let request = seen.recv().unwrap();
    assert_eq!(request.line, format!("POST /v1/p1/instances/{ID}/action HTTP/1.1"));
    assert_eq!(request.body, json!({"restart": {"type": "hard"}}));
    assert_eq!(seen.recv().unwrap().line, "GET /v3/p1/jobs/j1 HTTP/1.1");

    let (endpoint, _seen) = serve(vec![started.clone(), job("Failed", "")]);
    let output = ctl(&endpoint, &[&KEYS[..], &["instances", "restart", ID]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("Restart failed: no room"),
        "{output:?}"
    );

    let (endpoint, _seen) = serve(vec![started]);
    let output = ctl(&endpoint, &[&KEYS[..], &["--no-wait", "instances", "restart", ID]].concat());
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("ddm ctl jobs show j1"), "{output:?}");
}

#[test]
fn a_password_becomes_a_token() {
    let (endpoint, seen) = serve(vec![(201, json!({"token": {}})), (200, json!({"jobs": []}))]);
    let arguments = [
        "--iam-user",
        "admin",
        "--iam-password",
        "pw",
        "--project-name",
        "local-1",
        "--output",
        "json",
        "jobs",
        "list",
    ];
    let output = ctl(&endpoint, &arguments);
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), json!([]));
    let login = seen.recv().unwrap();
    assert_eq!(login.line, "POST /v3/auth/tokens HTTP/1.1");
    assert_eq!(login.body["auth"]["identity"]["password"]["user"]["name"], "admin");
    assert_eq!(login.body["auth"]["scope"]["project"]["name"], "local-1");
    assert!(seen.recv().unwrap().headers.to_lowercase().contains("x-auth-token: tok"));
}

#[test]
fn names_are_looked_up_and_refusals_shown() {
    let list = (200, json!({"instances": [{"name": "shop", "id": ID}]}));
    let refused = (400, json!({"errCode": "DBS.200022", "externalMessage": "Wrong name."}));
    let (endpoint, seen) = serve(vec![list.clone(), refused, list]);
    let output = ctl(&endpoint, &[&KEYS[..], &["instances", "rename", "shop", "x"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("Wrong name. (DBS.200022, HTTP 400)"), "{errors}");
    seen.recv().unwrap();
    assert_eq!(
        seen.recv().unwrap().line,
        format!("PUT /v1/p1/instances/{ID}/modify-name HTTP/1.1")
    );
    let output = ctl(&endpoint, &[&KEYS[..], &["instances", "show", "nothing"]].concat());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("ddm ctl instances list"),
        "{output:?}"
    );
}

#[test]
fn nodes_are_added_with_the_class_that_their_group_has() {
    let flavor =
        |id, architecture, vcpus| json!({"id": id, "architecture": architecture, "cpu": vcpus});
    let group = |id, name, vcpus| json!({"id": id, "name": name, "architecture": "X86", "cpu_num_per_node": vcpus});
    let groups =
        json!({"group_list": [group("g1", "group-default", 4), group("g2", "reports", 2)]});
    let flavors = json!({"computeFlavorGroups": [
        {"computeFlavors": [flavor("f0", "ARM", "2"), flavor("f1", "X86", "2"), flavor("f2", "X86", "4")]}
    ]});
    let cases = [(None, "f2"), (Some("reports"), "f1")];
    for (named, class) in cases {
        let mut answers = vec![(200, groups.clone()); 1 + usize::from(named.is_some())];
        answers.push((200, json!({"engineGroups": [{"id": "e1", "version": "3.1"}]})));
        answers.push((200, flavors.clone()));
        answers.extend(named.map(|_| (200, groups.clone())));
        answers.push((200, json!({"instanceId": ID})));
        let (endpoint, seen) = serve(answers);
        let mut arguments = [&KEYS[..], &["instances", "enlarge", ID, "3"]].concat();
        arguments.extend(named.iter().flat_map(|name| ["--group", name]));
        let output = ctl(&endpoint, &arguments);
        assert!(output.status.success(), "{output:?}");
        let last = seen.iter().last().unwrap();
        assert_eq!(last.line, format!("POST /v2/p1/instances/{ID}/action/enlarge HTTP/1.1"));
        let mut body = json!({"flavor_id": class, "node_number": 3});
        if named.is_some() {
            body["group_id"] = json!("g2");
        }
        assert_eq!(last.body, body);
    }
}

#[test]
fn values_and_weights_are_maps() {
    for (arguments, line, body) in [
        (
            vec!["parameters", "set", ID, "long_query_time=0.5", "bind_table=[{a.b,c.d}]"],
            format!("PUT /v3/p1/instances/{ID}/configurations HTTP/1.1"),
            json!({"values": {"long_query_time": "0.5", "bind_table": "[{a.b,c.d}]"}}),
        ),
        (
            vec!["instances", "read-weights", ID, "x=30", "y=70"],
            format!("PUT /v2/p1/instances/{ID}/action/read-write-strategy HTTP/1.1"),
            json!({"read_weight": {"x": 30, "y": 70}}),
        ),
        (
            vec!["call", "post", "/v3/{project_id}/things", "--body", "{\"a\":1}"],
            "POST /v3/p1/things HTTP/1.1".to_owned(),
            json!({"a": 1}),
        ),
    ] {
        let (endpoint, seen) = serve(vec![(200, json!({}))]);
        let output = ctl(&endpoint, &[&KEYS[..], &arguments].concat());
        assert!(output.status.success(), "{output:?}");
        let request = seen.recv().unwrap();
        assert_eq!((request.line, request.body), (line, body));
    }
    let output = ctl("http://127.0.0.1:1", &[&KEYS[..], &["parameters", "set", ID, "x"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("NAME=VALUE"), "{output:?}");
}
