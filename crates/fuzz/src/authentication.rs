//! The login, from both sides: the greeting, the client's answer, the exchange of the plugins, and
//! the proofs. What was read is written and read again: it must be the same.

use crate::input::Input;
use mysql_wire::Capabilities;
use mysql_wire::auth::{NONCE_LEN, Verifiers, native_scramble, sha2_scramble, xor_with_nonce};
use mysql_wire::handshake::{
    AuthReply, AuthSwitchRequest, ChangeUser, ClientHello, HandshakeResponse, HandshakeV10,
};

/// One input: which packet, the circumstances, its payload.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 5 {
        0 => greeting(input.0),
        1 => hello(input.0),
        2 => reply(input.capabilities(), input.0),
        3 => change_user(input.capabilities(), input.0),
        _ => proofs(input),
    }
}

fn greeting(payload: &[u8]) {
    let Ok(greeting) = HandshakeV10::decode(payload) else { return };
    let mut written = Vec::new();
    greeting.encode(&mut written);
    let again = HandshakeV10::decode(&written).expect("a greeting of our own is read");
    assert_eq!(again.connection_id, greeting.connection_id);
    assert_eq!(again.server_version, greeting.server_version);
}

fn hello(payload: &[u8]) {
    match ClientHello::decode(payload) {
        Ok(ClientHello::Ssl(request)) => {
            let mut written = Vec::new();
            request.encode(&mut written);
            assert_eq!(ClientHello::decode(&written), Ok(ClientHello::Ssl(request)));
        }
        Ok(ClientHello::Response(response)) => {
            assert!(!format!("{response:?}").is_empty());
            response_again(&response);
        }
        Err(_) => {}
    }
}

/// Fields that end with a zero byte hold none, and the packet has those that its capabilities say.
fn response_again(response: &HandshakeResponse) {
    let mut written = Vec::new();
    response.encode(&mut written);
    let again = HandshakeResponse::decode(&written).expect("an answer of our own is read");
    assert_eq!(again.username, response.username);
    assert_eq!(again.capabilities, response.capabilities);
    assert_eq!(again.auth_response, response.auth_response);
    assert_eq!(again.database, response.database);
    assert_eq!(again.auth_plugin, response.auth_plugin);
    assert_eq!(again.connect_attrs, response.connect_attrs);
}

fn reply(capabilities: Capabilities, payload: &[u8]) {
    if let Ok(AuthReply::Switch(switch)) = AuthReply::decode(payload, capabilities) {
        let mut written = Vec::new();
        switch.encode(&mut written);
        let again = AuthSwitchRequest::decode(&written).expect("a switch of our own is read");
        assert_eq!(again.plugin, switch.plugin);
    }
}

fn change_user(capabilities: Capabilities, body: &[u8]) {
    let Ok(change) = ChangeUser::decode(body, capabilities) else { return };
    let mut written = Vec::new();
    change.encode(capabilities, &mut written);
    assert_eq!(ChangeUser::decode(&written[1..], capabilities), Ok(change));
}

/// The right proof is taken, whatever the password; another is not.
fn proofs(mut input: Input<'_>) {
    let nonce: [u8; NONCE_LEN] = input.array();
    let password = input.piece();
    let verifiers = Verifiers::from_password(password);
    assert!(verifiers.verify_native(&nonce, &native_scramble(password, &nonce)));
    assert!(verifiers.verify_sha2(&nonce, &sha2_scramble(password, &nonce)));
    assert!(verifiers.verify_clear(password));
    assert_eq!(xor_with_nonce(&xor_with_nonce(password, &nonce), &nonce), password);
    let other = input.0;
    assert!(!verifiers.verify_native(&nonce, other) || native_scramble(password, &nonce) == other);
    assert!(!verifiers.verify_sha2(&nonce, other) || sha2_scramble(password, &nonce) == other);
    assert!(!verifiers.verify_clear(other) || password == other);
}
