//! Every kind, by an example that is put together here: no scanner of this repository shall find one.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::IpAddr;

use redact::{Config, Redactor, is_public};

fn redactor(config: &str) -> Redactor {
    Redactor::new(&config.parse::<Config>().unwrap()).unwrap()
}

/// `length` letters and digits, the same each time.
fn some(length: usize) -> String {
    "a7Bq9ZkR3mXw5TfY1nLc8VhJ2pGd4SuE6".chars().cycle().take(length).collect()
}

fn hex(length: usize) -> String {
    "0f3a9c7e1b5d2846".chars().cycle().take(length).collect()
}

/// What each kind of credential looks like, without the text around it.
fn examples() -> Vec<(&'static str, String)> {
    let of = |kind, parts: &[&str]| (kind, parts.concat());
    vec![
        of("private key", &["-----BEGIN RSA PRIVATE ", "KEY-----\nMIIE", &some(60), "\n-----END RSA PRIVATE ", "KEY-----"]),
        of(
            "private key",
            &["-----BEGIN PGP PRIVATE ", "KEY BLOCK-----\n\nlQOY", &some(60), "\n-----END PGP PRIVATE ", "KEY BLOCK-----"],
        ),
        of("private key", &["-----BEGIN OPENSSH PRIVATE ", "KEY-----\nb3Bl", &some(60)]),
        of("age secret key", &["AGE-SECRET-", "KEY-1", "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHCE"]),
        of("GitHub token", &["gh", "p_", &some(36)]),
        of("GitHub token", &["gh", "s_", "123456", "_", "eyJhbGci", &some(20), ".", &some(90), ".", &some(40)]),
        of("GitHub token", &["github", "_pat_", &some(22), "_", &some(59)]),
        of("GitLab token", &["gl", "pat-", &some(20)]),
        of("GitLab token", &["gl", "pat-", &some(27), ".01.0w", &some(7)]),
        of("Slack token", &["xo", "xb-", "123456789012-", &some(24)]),
        of("Slack token", &["xo", "xe.xo", "xp-1-", &some(40)]),
        of("Slack token", &["xa", "pp-1-A0-", &some(24)]),
        of("JSON web token", &["ey", "JhbGciOiJIUzI1NiJ9", ".ey", "JzdWIiOiIxMjM0In0.", &some(43)]),
        of("npm token", &["np", "m_", &some(36)]),
        of("PyPI token", &["py", "pi-AgE", "IcHlwaS5vcmc", &some(90)]),
        of("RubyGems token", &["ruby", "gems_", &hex(48)]),
        of("Docker token", &["dckr", "_pat_", &some(27)]),
        of("Stripe key", &["sk", "_live_", &some(24)]),
        of("Stripe key", &["rk", "_test_", &some(99)]),
        of("Stripe key", &["wh", "sec_", &some(32)]),
        of("Google API key", &["AI", "za", &some(35)]),
        of("Google OAuth secret", &["GOC", "SPX-", &some(28)]),
        of("Google OAuth secret", &["ya", "29.", &some(60)]),
        of("Hugging Face token", &["h", "f_", &some(34)]),
        of("AI provider key", &["sk", "-ant-", "api03-", &some(93), "AA"]),
        of("AI provider key", &["sk", "-proj-", &some(48)]),
        of("AI provider key", &["sk", "-", &some(48)]),
        of("AI provider key", &["xa", "i-", &some(80)]),
        of("AI provider key", &["gs", "k_", &some(52)]),
        of("SendGrid key", &["S", "G.", &some(22), ".", &some(43)]),
        of("Mailgun key", &["ke", "y-", &hex(32)]),
        of("Telegram token", &["1234567890", ":A", "A", &some(33)]),
        of("DigitalOcean token", &["do", "p_v1_", &hex(64)]),
        of("HashiCorp token", &["hv", "s.", &some(24)]),
        of("HashiCorp token", &[&some(14), ".atlas", "v1.", &some(60)]),
        of("Databricks token", &["da", "pi", &hex(32)]),
        of("Atlassian token", &["AT", "ATT3", &some(180)]),
        of("Shopify token", &["shp", "at_", &hex(32)]),
        of("Grafana token", &["gl", "sa_", &some(32), "_", &hex(8)]),
        of("New Relic key", &["NR", "AK-", &some(27).to_uppercase()]),
        of("AWS session token", &["IQoJb3Jp", "Z2luX2Vj", &some(200), "=="]),
        of("Amazon Bedrock key", &["AB", "SK", &some(128)]),
        of("password hash", &["$6", "$rounds=5000$saltsalt$", &some(86)]),
        of("password hash", &["$y", "$j9T$", &some(22), "$", &some(43)]),
    ]
}

#[test]
fn every_kind_is_found_whole_wherever_it_stands() {
    let redactor = redactor("");
    for (kind, secret) in examples() {
        for (before, after) in
            [("", ""), ("it is ", " .\n"), ("\"", "\","), ("(", ")"), ("x=", "\n"), ("\u{fc} ", " \u{fc}"), ("<td>", "</td>")]
        {
            let (text, removed) = redactor.text(&format!("{before}{secret}{after}"));
            let kinds: Vec<_> = removed.iter().map(|removed| removed.kind.as_str()).collect();
            assert_eq!(kinds, [kind], "{before}{secret}{after} became {text}");
            let marked = format!("[redacted: {kind}]");
            assert!(text.starts_with(&format!("{before}{marked}")), "{text}");
            // A private key without an end has none before the text's.
            assert!(text.ends_with(after) || secret.contains("OPENSSH"), "{text}");
            assert_eq!(removed[0].at, before.len());
        }
    }
}

/// However a language or a format writes down that a name has a value.
#[test]
fn a_secrets_name_gives_its_value_away_in_every_notation() {
    let redactor = redactor("");
    for text in [
        "'password' => 'hunter2',",
        "password => hunter2",
        "password := \"hunter2\"",
        "if password == \"hunter2\" {",
        "password: !vault hunter2",
        "password: !<tag:yaml.org,2002:str> hunter2",
        "password: |\n  hunter2\nuser: bob",
        "password: >-\r\n  first\r\n  hunter2\r\nuser: bob",
        "\"passwords\":[\"first\", \"hunter2\"],\"user\":1",
        "tokens=hunter2&x=1",
        "secrets = hunter2",
        "SECRET_KEY_BASE=hunter2",
        "secret_key_base: hunter2",
        "<password>hunter2</password>",
        "<a:Password type='x'>\n hunter2\n</a:Password>",
        "define('DB_PASSWORD', 'hunter2');",
        "curl -u alice:hunter2 https://a.example",
        "curl -ualice:hunter2 https://a.example",
        "curl -sSu 'alice:hunter2' https://a.example",
        "/usr/bin/curl -s --user=alice:hunter2 https://a.example",
        "x | curl --proxy-user \"alice:hunter2\" https://a.example",
    ] {
        let (cleaned, removed) = redactor.text(text);
        assert!(!cleaned.contains("hunter2") && !removed.is_empty(), "{text} became {cleaned}");
        assert!(!text.contains("user: bob") || cleaned.contains("user: bob"), "{text} became {cleaned}");
        assert!(!text.contains("a.example") || cleaned.contains("https://a.example"), "{text} became {cleaned}");
    }
    for text in [
        "<password/>",
        "<passwords count='2'><user>bob</user>",
        "curl https://a.example -o out; id -u bob",
        "curl --user-agent x https://a.example",
        "the password is long",
    ] {
        assert_eq!(redactor.text(text).0, text);
    }
}

#[test]
fn what_stands_around_a_secret_stays() {
    let redactor = redactor("");
    let sas = some(43);
    let netrc = ["machine a.example login bob pass", "word hunter2"].concat();
    for (text, expected) in [
        (format!("?sv=2024-11-04&sig={sas}%3D&se=1"), "?sv=2024-11-04&sig=[redacted: Azure shared access signature]&se=1"),
        (format!("X-Amz-Date=1&X-Amz-Signature={}", hex(64)), "X-Amz-Date=1&X-Amz-Signature=[redacted: AWS request signature]"),
        ("https://hooks.slack.com/services/T0/B0/x".to_owned(), "https://hooks.slack.com/services/[redacted: Slack webhook]"),
        (
            format!("https://discord.com/api/webhooks/123/{}", some(20)),
            "https://discord.com/api/webhooks/[redacted: Discord webhook]",
        ),
        (netrc, "machine a.example login bob password [redacted: password in .netrc]"),
        ("< Set-Cookie: sid=abc; Path=/\r\n< Date: x".to_owned(), "< Set-Cookie: [redacted: cookie]\r\n< Date: x"),
        (format!("\"{}8Q~{}\"", some(3), some(34)), "\"[redacted: Azure client secret]\""),
        ("AccountKey=abc/def==;Endpoint=x".to_owned(), "AccountKey=[redacted: value of a secret's name];Endpoint=x"),
        (r#"{"password": "a\"b c", "user": 1}"#.to_owned(), r#"{"password": [redacted: value of a secret's name], "user": 1}"#),
        (
            r#"{\"password\": \"hunter2\", \"user\": 1}"#.to_owned(),
            r#"{\"password\": [redacted: value of a secret's name]", \"user\": 1}"#,
        ),
        ("password=\"hunter2".to_owned(), "password=[redacted: value of a secret's name]"),
        ("db_password: hunter2\nuser: bob".to_owned(), "db_password: [redacted: value of a secret's name]\nuser: bob"),
    ] {
        assert_eq!(redactor.text(&text).0, expected);
    }
}

#[test]
fn an_aws_secret_goes_where_its_id_is_near_and_the_id_stays() {
    let redactor = redactor("");
    let (id, secret) = (["AKIA", "IOSFODNN7EXAMPLE"].concat(), ["wJalrXUtnFEMI/K7MDENG", "/bPxRfiCYEXAMPLEKEY"].concat());
    let (text, _) = redactor.text(&format!("{id}\t{secret}\n"));
    assert_eq!(text, format!("{id}\t[redacted: AWS secret access key]\n"));
    let far = format!("{secret}{}{id}", " ".repeat(5000));
    assert_eq!(redactor.text(&far).0, far, "40 characters of base64 are nothing by themselves");
}

#[test]
fn what_only_looks_like_a_secret_stays() {
    let redactor = redactor("email, phone, iban, payment-card, ip-address");
    for text in [
        "3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
        "AKIAIOSFODNN7EXAMPLE",
        "user@1000.service loaded",
        "task-management-of-all-things-in-the-world",
        "sk-fading-circle sk-cube-grid-with-a-long-name",
        "2026-11-24T13:38:04.000000000+00:00",
        "1795400000000000000 1795400000000",
        "0.4111111111111111 4111111111111112",
        "DE89370400440532013001 AB12CDEFGHIJKLMNOP",
        "10.0.0.7 192.168.1.1 203.0.113.9 127.0.0.1 169.254.169.254 2001:db8::1 fe80::1 12:34:56 std::io::Error",
        "version 999.1.2.3 and 1.2.3",
        "passport=1 bypasses: north",
        "arn:aws:iam::123456789012:role/Admin",
        "+12 items, 1+23456789012",
    ] {
        assert_eq!(redactor.text(text), (text.to_owned(), Vec::new()));
    }
}

#[test]
fn personal_data_goes_if_it_is_configured_and_only_then() {
    let off = redactor("");
    for (kind, word, mark, data) in [
        ("email", "alice.o+tag@mail.corp.example", "email", true),
        ("phone", "+49 30 123456-78", "phone", true),
        ("phone", "+1 (555) 010-9999", "phone", true),
        ("phone", "+442079460958", "phone", true),
        ("iban", "DE89 3704 0044 0532 0130 00", "iban", true),
        ("iban", "GB82WEST12345698765432", "iban", true),
        ("iban", "NO9386011117947", "iban", true),
        ("payment-card", "4111 1111 1111 1111", "payment card", true),
        ("payment-card", "378282246310005", "payment card", true),
        ("payment-card", "5555-5555-5555-4444", "payment card", true),
        ("ip-address", "8.8.8.8", "IP address", true),
        ("ip-address", "2a00:1450:4001:82a::200e", "IP address", true),
    ] {
        assert!(data);
        let on = redactor(kind);
        for (before, after) in [("", ""), ("of ", " 12/27"), ("\"", "\","), ("\u{fc} ", ": x"), (" ", " EUR AND MORE"), ("<", ">")]
        {
            let text = format!("{before}{word}{after}");
            assert_eq!(on.text(&text).0, format!("{before}[redacted: {mark}]{after}"), "{text}");
            assert_eq!(off.text(&text).0, text);
        }
    }
}

#[test]
fn own_expressions_come_first_and_take_group_one() {
    let redactor = redactor("case = \\bCASE-([0-9]+)\\b\nstaff = E[0-9]{5}");
    let (text, removed) = redactor.text("token=CASE-1 by E12345");
    assert_eq!(text, "token=[redacted: case] by [redacted: staff]");
    assert_eq!(removed.len(), 2);
}

#[test]
fn a_field_with_a_secrets_name_has_a_secret() {
    let redactor = redactor("");
    assert_eq!(redactor.named("DbPassword", "hunter 2").0, "[redacted: value of a secret's name]");
    assert_eq!(redactor.named("Name", "web-1"), ("web-1".to_owned(), Vec::new()));
    assert_eq!(redactor.named("cordon:exempt", "yes").0, "yes");
}

/// What was taken out once is not taken out again, and its mark stays.
#[test]
fn marks_are_left_alone() {
    let redactor = redactor("email, phone, iban, payment-card, ip-address");
    for (_, secret) in examples() {
        let (once, removed) = redactor.text(&format!("password={secret} alice@corp.example"));
        assert!(!removed.is_empty());
        assert_eq!(redactor.text(&once), (once.clone(), Vec::new()));
    }
}

#[test]
fn what_is_no_text_is_looked_at_and_kept() {
    let redactor = redactor("email");
    let (bytes, removed) = redactor.bytes(b"\xff\xfepassword=\xffx \x00 bob@corp.example\x00\xff");
    assert_eq!(bytes, b"\xff\xfepassword=[redacted: value of a secret's name] \x00 [redacted: email]\x00\xff");
    assert_eq!(removed.len(), 2);
}

#[test]
fn public_addresses_are_those_that_name_somebody() {
    for (text, public) in
        [("8.8.8.8", true), ("100.64.0.1", false), ("::ffff:8.8.8.8", true), ("::1", false), ("2a00::1", true), ("fd00::1", false)]
    {
        assert_eq!(is_public(&text.parse::<IpAddr>().unwrap()), public, "{text}");
    }
}
