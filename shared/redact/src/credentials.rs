//! The credentials that are known by their form.
//!
//! The forms are those that the services publish for secret scanning, and that gitleaks and GitHub's scanner look for. Where a service
//! says no more than "starts with", a length keeps words out.

use crate::rule::Rule;

/// Names whose value is a secret: `--db-password`, `GITHUB_TOKEN`, `aws_secret_access_key`, `apiKey`.
pub(crate) const NAMES: &str = r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|api[-_]?key|access[-_]?key|account[-_]?key|private[-_]?key|secret[-_]?key(?:[-_]?base)?|signing[-_]?key|encryption[-_]?key|client[-_]?secret|session[-_]?token|authorization|bearer)";
/// One of these is in every one of [`NAMES`].
const IN_NAMES: &[&str] = &["pass", "pwd", "secret", "token", "credential", "key", "authorization", "bearer"];

/// Whether one of [`NAMES`] can be in `text` at all.
pub(crate) fn is_name(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    IN_NAMES.iter().any(|part| text.contains(part))
}

/// A quoted value, or one that a format sets off in another way: a list, or the lines that YAML indents under a `|` or `>`.
const VALUE: &str = r#""(?:[^"\\]|\\[\x00-\xff])*"|'[^']*'|\\"[^"]*|\[[^\]]*|[|>][-+0-9]*[ \t]*(?:\r?\n[ \t]+[^\r\n]*)+"#;

/// Between a name and its value: of a program, a setting, a header, JSON, YAML with a tag.
const IS: &str = r"\s*(?::=|=>|==?|:)\s*(?:![^\s]*\s+)?";

/// What curl takes a user and a password by. A cluster of other short options may come before the `u`, and the value right after it.
pub(crate) const CURL_SHORT: &str = r"-[0-46afgGiIjJklLMnNOpqRsSvVZ#]*[uU]";
/// The same in long.
pub(crate) const CURL_LONG: &str = r"--(?:proxy-)?user";

/// What is recorded is locked for years, so a doubt is decided against the text.
pub(crate) fn rules() -> Vec<Rule> {
    let known: [(&'static str, &'static [&'static str], &str); 37] = [
        (
            "private key",
            &["private key"],
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?s:.)*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
        ),
        ("age secret key", &["age-secret-key-"], r"\bAGE-SECRET-KEY-(?:[A-Z0-9]+-)?1[02-9AC-HJ-NP-Z]{50,}"),
        (
            "GitHub token",
            &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"],
            // Since 2026 a server's token is `ghs_`, a number and a JSON web token.
            r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bghs_[0-9]+_[A-Za-z0-9_.-]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}",
        ),
        (
            "GitLab token",
            &[
                "glpat-", "gloas-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "glsoat-", "glffct-",
                "glwt-",
            ],
            r"\bgl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct|wt)-[A-Za-z0-9_.-]{16,}",
        ),
        ("Slack token", &["xox", "xapp-"], r"\bxox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}|\bxapp-[A-Za-z0-9-]{10,}"),
        ("Slack webhook", &["hooks.slack.com/"], r"\bhooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9_/+-]+)"),
        ("Discord webhook", &["/api/webhooks/"], r"\bdiscord(?:app)?\.com/api/webhooks/([0-9]+/[A-Za-z0-9_-]+)"),
        ("JSON web token", &["eyj"], r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
        ("npm token", &["npm_"], r"\bnpm_[A-Za-z0-9]{36,}"),
        ("PyPI token", &["pypi-age"], r"\bpypi-AgE[A-Za-z0-9_-]{50,}"),
        ("RubyGems token", &["rubygems_"], r"\brubygems_[0-9a-f]{48,}"),
        ("Docker token", &["dckr_pat_", "dckr_oat_"], r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}"),
        (
            "Stripe key",
            &["sk_live_", "sk_test_", "sk_org_", "rk_live_", "rk_test_", "whsec_"],
            r"\b(?:sk|rk)_(?:live|test|org)_[A-Za-z0-9_]{10,}|\bwhsec_[A-Za-z0-9+/=]{24,}",
        ),
        ("Google API key", &["aiza"], r"\bAIza[A-Za-z0-9_-]{35,}"),
        (
            "Google OAuth secret",
            &["gocspx-", "ya29.", "1//0"],
            r"\bGOCSPX-[A-Za-z0-9_-]{20,}|\bya29\.[A-Za-z0-9_-]{20,}|\b1//0[A-Za-z0-9_-]{40,}",
        ),
        ("Azure shared access signature", &["sig="], r"(?i)\bsig=([a-z0-9%+/=_-]{32,})"),
        (
            "Azure client secret",
            &["q~"],
            r"(?:\A|[^A-Za-z0-9_~.-])([A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34})(?:\z|[^A-Za-z0-9_~.-])",
        ),
        ("Hugging Face token", &["hf_", "api_org_"], r"\b(?:hf_|api_org_)[A-Za-z0-9]{30,}"),
        (
            "AI provider key",
            &["sk-", "xai-", "gsk_", "pplx-", "r8_"],
            r"\bsk-(?:ant|proj|svcacct|admin|service|or)-[A-Za-z0-9_-]{20,}|\bsk-[A-Za-z0-9]{32,}|\bxai-[A-Za-z0-9]{40,}|\bgsk_[A-Za-z0-9]{40,}|\bpplx-[A-Za-z0-9]{40,}|\br8_[A-Za-z0-9]{37,}",
        ),
        ("SendGrid key", &["sg."], r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}"),
        ("Mailgun key", &["key-"], r"\bkey-[0-9a-f]{32}\b"),
        ("Telegram token", &[":aa"], r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33,}"),
        ("DigitalOcean token", &["dop_v1_", "doo_v1_", "dor_v1_"], r"\bdo[opr]_v1_[0-9a-f]{64,}"),
        (
            "HashiCorp token",
            &["hvs.", "hvb.", "hvr.", ".atlasv1."],
            r"\bhv[sbr]\.[A-Za-z0-9_-]{20,}|\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{50,}",
        ),
        ("Databricks token", &["dapi"], r"\bdapi[0-9a-f]{32}(?:-[0-9])?\b"),
        ("Atlassian token", &["atatt3", "atctt3"], r"\bAT[AC]TT3[A-Za-z0-9_=-]{50,}"),
        ("Shopify token", &["shpat_", "shpca_", "shppa_", "shpss_"], r"\bshp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32,}"),
        ("Grafana token", &["glsa_", "glc_"], r"\bglsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8,}|\bglc_[A-Za-z0-9+/=]{32,}"),
        ("New Relic key", &["nrak-"], r"\bNRAK-[A-Z0-9]{27,}"),
        ("AWS session token", &["iqojb3jpz2lu", "fwogzxivyxdz"], r"\b(?:IQoJb3JpZ2lu|FwoGZXIvYXdz)[A-Za-z0-9/+=%]{60,}"),
        ("AWS request signature", &["x-amz-signature"], r"(?i)\bX-Amz-Signature=([0-9a-f]{64,})"),
        (
            "Amazon Bedrock key",
            &["absk", "bedrock-api-key-"],
            r"\bABSK[A-Za-z0-9+/]{100,}={0,2}|\bbedrock-api-key-[A-Za-z0-9+/=_-]{20,}",
        ),
        // crypt(5): the methods that a shadow file of today has.
        (
            "password hash",
            &["$1$", "$2", "$5$", "$6$", "$y$", "$7$", "$argon2"],
            r"\$(?:1|2[abxy]|5|6|7|y|gy|argon2(?:i|d|id))\$[A-Za-z0-9./$=,+]{20,}",
        ),
        ("password in .netrc", &["login"], r"(?i)\blogin\s+\S+\s+password\s+(\S+)"),
        ("cookie", &["cookie"], r#"(?i)\b(?:set-)?cookie["']?\s*:[ \t]*["']?([^\r\n"']+)"#),
        ("authorization header", &["authorization"], r#"(?i)\bauthorization\s*:\s*(?:[a-z0-9-]+\s+)?([^\s"']+)"#),
        ("password in a URL", &["://"], r"(?i)\b[a-z][a-z0-9+.-]*://[^\s/:@?#]*:([^\s/@]+)@"),
    ];
    let mut rules: Vec<Rule> =
        known.into_iter().map(|(kind, anchors, find)| Rule::shipped(kind, anchors, find.to_owned())).collect();
    // The whole argument is name and value: the value is the rest, spaces and quotes and all.
    let whole = format!(r"(?is)\A-{{0,2}}(?:[a-z0-9]+[-_.])*[a-z0-9]*{NAMES}s?=(.+)\z");
    rules.push(Rule::shipped("value of a secret's name", IN_NAMES, whole).of_a_word());
    // The same within a longer text: a script, a query string, JSON, a header.
    let within = format!(r#"(?i)[a-z0-9_.-]*{NAMES}s?(?:\\?["'])?{IS}({VALUE}|["']?[^\s&;,"'}}]+)"#);
    rules.push(Rule::shipped("value of a secret's name", IN_NAMES, within));
    let element = format!(r"(?i)<[a-z0-9_.:-]*{NAMES}s?(?:\s[^<>]*[^<>/])?>\s*([^<\s][^<]*)<");
    rules.push(Rule::shipped("value of a secret's name", IN_NAMES, element));
    let constant = format!(r#"(?i)\bdefine\(\s*["'][a-z0-9_.-]*{NAMES}s?["']\s*,\s*({VALUE})"#);
    rules.push(Rule::shipped("value of a secret's name", IN_NAMES, constant));
    let curl = format!(r#"\bcurl\s(?:[^\r\n|;&]*?\s)?(?:{CURL_SHORT}[ \t]*|{CURL_LONG}(?:[ \t]+|=))({VALUE}|[^\s"']+)"#);
    rules.push(Rule::shipped("curl's user and password", &["curl"], curl));
    let option = format!(r#"(?i)(?:\A|\s)--?(?:[a-z0-9]+-)*{NAMES}\s+({VALUE}|[^\s"'-][^\s"']*)"#);
    rules.push(Rule::shipped("value of a secret's option", IN_NAMES, option));
    rules
}
