//! The password of `caching_sha2_password`'s full exchange on a connection without TLS: masked with the
//! nonce and encrypted with the server's RSA key, which the server sends when it is asked.

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mysql_wire::auth::{NONCE_LEN, xor_with_nonce};

/// What a key in text form stands between.
const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// The encrypted password, or why there is none.
pub(crate) fn encrypted(
    key: &[u8],
    password: &[u8],
    nonce: &[u8; NONCE_LEN],
) -> Result<Vec<u8>, &'static str> {
    let text = String::from_utf8_lossy(key);
    let body = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    let (body, _) = body.ok_or("the server's RSA key is not in PEM form")?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| "the server's RSA key cannot be decoded")?;
    let key = PublicEncryptingKey::from_der(&der).map_err(|_| "the server's RSA key is not one")?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| "the server's RSA key is not one")?;
    let closed = [password, &[0]].concat();
    let masked = xor_with_nonce(&closed, nonce);
    let mut out = vec![0; key.ciphertext_size()];
    let length = key
        .encrypt(&OAEP_SHA1_MGF1SHA1, &masked, &mut out, None)
        .map_err(|_| "the password is too long for the server's RSA key")?
        .len();
    out.truncate(length);
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};

    #[test]
    fn the_owner_of_the_key_reads_the_password() {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let der: PublicKeyX509Der<'_> = private.public_key().as_der().unwrap();
        let pem = format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(der.as_ref()));
        let nonce = [7; NONCE_LEN];
        let secret = encrypted(pem.as_bytes(), b"a long password, longer than the nonce", &nonce);
        let mut out = vec![0; 512];
        let key = OaepPrivateDecryptingKey::new(private).unwrap();
        let masked = key.decrypt(&OAEP_SHA1_MGF1SHA1, &secret.unwrap(), &mut out, None).unwrap();
        assert_eq!(xor_with_nonce(masked, &nonce), b"a long password, longer than the nonce\0");
        assert!(encrypted(b"no key", b"x", &nonce).is_err());
        let cut = format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(&der.as_ref()[..40]));
        assert!(encrypted(cut.as_bytes(), b"x", &nonce).is_err());
        assert!(encrypted(pem.as_bytes(), &[b'x'; 400], &nonce).is_err());
    }
}
