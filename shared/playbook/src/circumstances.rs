//! One signal, in the words of the schema.

use std::collections::{HashMap, HashSet};
use std::error::Error;

use cedar_policy::{Context, Entities, Entity, EntityTypeName, ParseErrors, RestrictedExpression as Value, Schema};
use signal::{Role, Signal, Source};

use crate::question::{Case, uid};
use crate::{Facts, Mitigation, Posture};

/// All that a policy may look at.
#[derive(Debug, Clone)]
pub(crate) struct Circumstances {
    pub(crate) target: String,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) finding_type: String,
    pub(crate) purpose: String,
    pub(crate) severity: u16,
    pub(crate) role: Role,
    pub(crate) sample: bool,
    pub(crate) archived: bool,
    pub(crate) source: Source,
    pub(crate) inside: bool,
    pub(crate) mitigation: Mitigation,
    pub(crate) facts: Facts,
    pub(crate) posture: Posture,
}

impl Circumstances {
    pub(crate) fn of(signal: &Signal, mitigation: Mitigation, facts: Facts, posture: Posture) -> Self {
        let finding = &signal.finding;
        let kind = &finding.kind;
        Self {
            target: signal.target(),
            account: signal.account.to_string(),
            region: signal.region.to_string(),
            finding_type: kind.to_string(),
            purpose: kind.purpose().to_owned(),
            severity: finding.severity.hundredths(),
            role: finding.role,
            sample: finding.sample,
            archived: finding.archived,
            source: signal.source,
            // `Execution:EC2/…` is what Malware Protection finds on disks; all other `…:EC2/…` is seen from the network or the API.
            inside: kind.resource() == "Runtime" || (kind.purpose() == "Execution" && kind.resource() == "EC2"),
            mitigation,
            facts,
            posture,
        }
    }

    /// Nothing in particular: to find out whether a schema fits.
    pub(crate) fn example() -> Self {
        Self {
            target: "ec2:instance:123456789012:eu-central-1:i-0123456789abcdef0".into(),
            account: "123456789012".into(),
            region: "eu-central-1".into(),
            finding_type: "Recon:EC2/Portscan".into(),
            purpose: "Recon".into(),
            severity: 500,
            role: Role::Unstated,
            sample: false,
            archived: false,
            source: Source::GuardDuty,
            inside: false,
            mitigation: Mitigation::None,
            facts: Facts::default(),
            posture: Posture::default(),
        }
    }
}

/// The schema's names, read once.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    instance: EntityTypeName,
    role: EntityTypeName,
    mode: EntityTypeName,
    mitigation: EntityTypeName,
    source: EntityTypeName,
}

impl Names {
    pub(crate) fn new() -> Result<Self, Box<ParseErrors>> {
        Ok(Self {
            instance: "Cordon::Instance".parse()?,
            role: "Cordon::Role".parse()?,
            mode: "Cordon::Mode".parse()?,
            mitigation: "Cordon::Mitigation".parse()?,
            source: "Cordon::Source".parse()?,
        })
    }

    pub(crate) fn case(&self, it: &Circumstances, schema: &Schema) -> Result<Case, Box<dyn Error>> {
        let text = |text: &str| Value::new_string(text.to_owned());
        let word = |kind: &EntityTypeName, word: &str| Value::new_entity_uid(uid(kind, word));
        let resource = uid(&self.instance, &it.target);
        let attributes = HashMap::from([("account".into(), text(&it.account)), ("region".into(), text(&it.region))]);
        let instance = Entity::new(resource.clone(), attributes, HashSet::new())?;
        let role = match it.role {
            Role::Actor => "ACTOR",
            Role::Target => "TARGET",
            Role::Unstated => "UNSTATED",
        };
        let source = match it.source {
            Source::GuardDuty => "guardduty",
            Source::Drill => "drill",
        };
        let context = Context::from_pairs([
            ("findingType".into(), text(&it.finding_type)),
            ("purpose".into(), text(&it.purpose)),
            ("severity".into(), Value::new_long(it.severity.into())),
            ("role".into(), word(&self.role, role)),
            ("sample".into(), Value::new_bool(it.sample)),
            ("archived".into(), Value::new_bool(it.archived)),
            ("source".into(), word(&self.source, source)),
            ("inside".into(), Value::new_bool(it.inside)),
            ("mitigation".into(), word(&self.mitigation, it.mitigation.as_str())),
            ("exemptTag".into(), Value::new_bool(it.facts.exempt_tag)),
            ("protected".into(), Value::new_bool(it.facts.protected)),
            ("mode".into(), word(&self.mode, it.posture.mode.as_str())),
            ("stop".into(), Value::new_bool(it.posture.stop)),
            ("drill".into(), Value::new_bool(it.posture.drill)),
        ])?;
        Ok(Case { resource, context, entities: Entities::from_entities([instance], Some(schema))? })
    }
}
