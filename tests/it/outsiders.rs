//! The parties outside that a checkpoint is anchored with, as small as they can be: a timestamping authority that is `openssl ts`, and a
//! witness that does what C2SP's tlog-witness asks of one. Each listens on this machine, and can be told to misbehave.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use evidence::log::{Checkpoint, leads_to};
use ids::Sha256;
use tempfile::TempDir;

/// How someone answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Said(u16, Vec<u8>),
    /// Never.
    Hang,
    /// The connection ends before the answer does.
    CutOff,
}

/// What somebody sent.
pub(crate) struct Request {
    /// Its first line and its headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

/// Serves on a free port of this machine, for as long as the process lives. Answers with the URL.
pub(crate) fn serve(mut answer: impl FnMut(&Request) -> Reply + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut hanging = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some(request) = read_request(&mut stream) else { continue };
            let (status, body, sent) = match answer(&request) {
                Reply::Said(status, body) => (status, body.clone(), body.len()),
                Reply::CutOff => (200, vec![0x30; 1000], 10),
                Reply::Hang => {
                    hanging.push(stream);
                    continue;
                }
            };
            let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            // Whoever has gone away meanwhile does not hear it.
            let _gone = stream.write_all(&[head.as_bytes(), &body[..sent]].concat());
        }
    });
    url
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(at) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
            let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let wanted = at + 4 + length.unwrap_or(0_usize);
            while bytes.len() < wanted {
                let read = stream.read(&mut part).ok().filter(|read| *read > 0)?;
                bytes.extend_from_slice(&part[..read]);
            }
            return Some(Request { head, body: bytes[at + 4..wanted].to_vec() });
        }
        let read = stream.read(&mut part).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&part[..read]);
    }
}

/// A timestamping authority with a root of its own.
pub(crate) struct Authority {
    home: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let home = TempDir::new().unwrap();
        let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
        write("serial", "01\n");
        write("ext", "extendedKeyUsage=critical,timeStamping\n");
        write(
            "tsa.cnf",
            "[tsa]\nserial = serial\ncrypto_device = builtin\nsigner_cert = tsa.pem\ncerts = ca.pem\nsigner_key = tsa.key\n\
             signer_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256\ness_cert_id_alg = sha256\naccuracy = secs:1\n\
             ordering = yes\ntsa_name = yes\n",
        );
        let authority = Self { home };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let root = ["req", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=an authority", "-days", "2"];
        authority.openssl(&[&root[..], &key].concat());
        authority.openssl(&[&["req", "-new", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=a clock"][..], &key].concat());
        let issue = ["x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
        authority.openssl(&[&issue[..], &["-extfile", "ext", "-out", "tsa.pem"]].concat());
        authority
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl").args(arguments).current_dir(self.home.path()).output().unwrap();
        assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The certificate that its tokens lead to.
    pub(crate) fn root(&self) -> PathBuf {
        self.home.path().join("ca.pem")
    }

    /// Its answer to a request.
    pub(crate) fn stamp(&self, request: &[u8]) -> Vec<u8> {
        std::fs::write(self.home.path().join("q.tsq"), request).unwrap();
        self.openssl(&["ts", "-reply", "-config", "tsa.cnf", "-section", "tsa", "-queryfile", "q.tsq", "-out", "r.tsr"]);
        std::fs::read(self.home.path().join("r.tsr")).unwrap()
    }

    /// Whether `openssl` accepts a token over a text, by this authority.
    pub(crate) fn accepts(&self, token: &Path, text: &Path) -> bool {
        let command = ["ts", "-verify", "-in", token.to_str().unwrap(), "-data", text.to_str().unwrap(), "-CAfile", "ca.pem"];
        Command::new("openssl").args(command).current_dir(self.home.path()).output().unwrap().status.success()
    }
}

/// Its trouble, if it has any.
type Trouble = Arc<Mutex<Option<Reply>>>;

/// An authority that can be asked.
pub(crate) struct Clock {
    pub(crate) authority: Arc<Authority>,
    pub(crate) url: String,
    pub(crate) trouble: Trouble,
    /// What it was asked.
    pub(crate) asked: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let (authority, trouble, asked) = (Arc::new(Authority::new()), Trouble::default(), Arc::<Mutex<Vec<Vec<u8>>>>::default());
        let (own, its, seen) = (Arc::clone(&authority), Arc::clone(&trouble), Arc::clone(&asked));
        let url = serve(move |request| {
            seen.lock().unwrap().push(request.body.clone());
            its.lock().unwrap().clone().unwrap_or_else(|| Reply::Said(200, own.stamp(&request.body)))
        });
        Self { authority, url: format!("{url}/tsr"), trouble, asked }
    }
}

/// What a witness remembers of logs, by their origins.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The vkeys (type 0x01) of the logs that it knows.
    pub(crate) logs: BTreeMap<String, String>,
    seen: BTreeMap<String, (u64, Sha256)>,
}

/// A witness that can be asked.
pub(crate) struct Watch {
    pub(crate) vkey: String,
    pub(crate) url: String,
    pub(crate) memory: Arc<Mutex<Memory>>,
    pub(crate) trouble: Trouble,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Watch {
    pub(crate) fn new(name: &'static str) -> Self {
        let key = SigningKey::from_bytes(Sha256::of(name.as_bytes()).as_bytes());
        let vkey = vkey(name, 4, &key.verifying_key());
        let (memory, trouble) = (Arc::<Mutex<Memory>>::default(), Trouble::default());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (its, bad, seen) = (Arc::clone(&memory), Arc::clone(&trouble), Arc::clone(&asked));
        let url = serve(move |request| {
            assert_eq!(request.path(), "/w/add-checkpoint");
            let body = std::str::from_utf8(&request.body).unwrap();
            seen.lock().unwrap().push(body.to_owned());
            if let Some(trouble) = bad.lock().unwrap().clone() {
                return trouble;
            }
            let (status, text) = its.lock().unwrap().add_checkpoint(body, name, &key);
            Reply::Said(status, text.into_bytes())
        });
        Self { vkey, url: format!("{url}/w/"), memory, trouble, asked }
    }

    /// As `CORDON_WITNESSES` takes it.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.vkey, self.url)
    }
}

impl Memory {
    /// C2SP tlog-witness, sentence by sentence.
    fn add_checkpoint(&mut self, body: &str, name: &str, key: &SigningKey) -> (u16, String) {
        let bad = |what: &str| (400, format!("{what}\n"));
        let Some((lines, note)) = body.split_once("\n\n") else { return bad("no empty line") };
        let mut lines = lines.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).filter(|old| *old == "0" || !old.starts_with('0'));
        let Some(old) = old.and_then(|old| old.parse::<u64>().ok()) else { return bad("no old size") };
        let hash = |line: &str| STANDARD.decode(line).ok()?.try_into().ok().map(Sha256::from_bytes);
        let Some(proof) = lines.map(hash).collect::<Option<Vec<_>>>().filter(|proof| proof.len() <= 63) else {
            return bad("no proof");
        };
        let Ok(checkpoint) = Checkpoint::read(note) else { return bad("no checkpoint") };
        let Some(log) = self.logs.get(&checkpoint.origin) else { return (404, String::new()) };
        if !signed(note, log) {
            return (403, String::new());
        }
        if old > checkpoint.size {
            return bad("old size");
        }
        let (seen, root) = self.seen.get(&checkpoint.origin).copied().unwrap_or((0, Sha256::of(b"")));
        if old != seen || (old == checkpoint.size && root != checkpoint.root) {
            return (409, format!("{seen}\n"));
        }
        if !leads_to(old, &root, checkpoint.size, &checkpoint.root, &proof) {
            return (422, String::new());
        }
        self.seen.insert(checkpoint.origin.clone(), (checkpoint.size, checkpoint.root));
        (200, cosign(name, key, &checkpoint.to_string()))
    }
}

/// Whether a note is signed by the key of a verifier key of type 0x01.
fn signed(note: &str, vkey: &str) -> bool {
    let (name, rest) = vkey.split_once('+').unwrap();
    let (id, key) = rest.split_once('+').unwrap();
    let key = VerifyingKey::from_bytes(STANDARD.decode(key).unwrap()[1..].try_into().unwrap()).unwrap();
    let (text, lines) = note.rsplit_once("\n\n").unwrap();
    lines.lines().any(|line| {
        let Some(bytes) = line.strip_prefix(&format!("\u{2014} {name} ")).map(|line| STANDARD.decode(line).unwrap()) else {
            return false;
        };
        let own = hex(&bytes[..4]) == id;
        own && key.verify_strict(format!("{text}\n").as_bytes(), &Signature::from_slice(&bytes[4..]).unwrap()).is_ok()
    })
}

/// A cosignature of now, as a line.
pub(crate) fn cosign(name: &str, key: &SigningKey, text: &str) -> String {
    let time = u64::try_from(calls::now().millis() / 1000).unwrap();
    let signature = key.sign(format!("cosignature/v1\ntime {time}\n{text}").as_bytes()).to_bytes();
    let id = id(name, 4, &key.verifying_key());
    format!("\u{2014} {name} {}\n", STANDARD.encode([&id[..], &time.to_be_bytes(), &signature].concat()))
}

/// A verifier key (C2SP signed-note).
pub(crate) fn vkey(name: &str, kind: u8, key: &VerifyingKey) -> String {
    let encoded = STANDARD.encode([&[kind], &key.as_bytes()[..]].concat());
    format!("{name}+{}+{encoded}", hex(&id(name, kind, key)))
}

fn id(name: &str, kind: u8, key: &VerifyingKey) -> [u8; 4] {
    let whole = [name.as_bytes(), b"\n", &[kind], key.as_bytes()].concat();
    Sha256::of(&whole).as_bytes()[..4].try_into().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What `kms:GetPublicKey` answers for an Ed25519 key.
pub(crate) fn der(key: &VerifyingKey) -> Vec<u8> {
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    [&prefix[..], key.as_bytes()].concat()
}
