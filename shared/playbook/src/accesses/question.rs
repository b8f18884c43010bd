//! One question, in the words of the schema.

use std::collections::{HashMap, HashSet};
use std::error::Error;

use cedar_policy::{
    Context, Entities, Entity, EntityTypeName, EntityUid, ParseErrors, Request, RestrictedExpression as Value, Schema,
};
use ids::Timestamp;

use super::{AccessAct, AccessActor, AccessAsked, AccessContext, Offer};
use crate::question::uid;

/// The schema's names, read once.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) person: EntityTypeName,
    pub(super) caller: EntityTypeName,
    pub(super) entitlement: EntityTypeName,
    class: EntityTypeName,
    access: EntityTypeName,
}

impl Names {
    pub(super) fn new() -> Result<Self, Box<ParseErrors>> {
        Ok(Self {
            person: "Cordon::Person".parse()?,
            caller: "Cordon::Caller".parse()?,
            entitlement: "Cordon::Entitlement".parse()?,
            class: "Cordon::Class".parse()?,
            access: "Cordon::Access".parse()?,
        })
    }

    /// The request and the entities that it is about.
    pub(super) fn ask(
        &self,
        act: AccessAct,
        actor: &AccessActor,
        offer: &Offer,
        asked: &AccessAsked,
        context: &AccessContext,
        schema: &Schema,
    ) -> Result<(Request, Entities), Box<dyn Error>> {
        let name = lower(&actor.name);
        let calls_itself = lower(actor.calls_itself.as_deref().unwrap_or_default());
        let mut attributes = HashMap::from([
            ("name".to_owned(), text(&name)),
            ("callsItself".to_owned(), text(&calls_itself)),
            ("barred".to_owned(), Value::new_bool(actor.barred)),
        ]);
        let kind = if actor.person {
            // Identity Center's sets have no slash; `group/oncall` would be taken for the group.
            let permission_set = actor.permission_set.as_deref().filter(|set| !set.contains('/'));
            attributes.insert("permissionSet".to_owned(), text(permission_set.unwrap_or_default()));
            attributes.insert("groups".to_owned(), several(actor.groups.iter().map(|group| format!("group/{group}"))));
            &self.person
        } else {
            &self.caller
        };
        let principal = uid(kind, &name);
        let mut about = HashMap::from([
            ("entitlement".to_owned(), Value::new_entity_uid(uid(&self.entitlement, offer.name.as_str()))),
            ("class".to_owned(), Value::new_entity_uid(uid(&self.class, offer.class.as_str()))),
            ("account".to_owned(), text(offer.account.as_str())),
            ("role".to_owned(), text(offer.role.as_str())),
            ("requester".to_owned(), text(&lower(&asked.requester))),
            ("requesterCallsItself".to_owned(), text(&lower(asked.requester_calls_itself.as_deref().unwrap_or_default()))),
            ("requesters".to_owned(), several(offer.requesters.iter().cloned())),
            ("approvers".to_owned(), several(offer.approvers.iter().cloned())),
            ("ticketNeeded".to_owned(), Value::new_bool(offer.ticket)),
        ]);
        if let Some(network) = &offer.approve_from {
            about.insert("approveFrom".to_owned(), Value::new_ip(network));
        }
        let resource = uid(&self.access, offer.name.as_str());
        let action: EntityUid = format!("Cordon::Action::\"{}\"", act.action()).parse()?;
        let entities =
            [Entity::new(principal.clone(), attributes, HashSet::new())?, Entity::new(resource.clone(), about, HashSet::new())?];
        let request = Request::new(principal, action, resource, circumstances(asked, context)?, Some(schema))?;
        Ok((request, Entities::from_entities(entities, Some(schema))?))
    }
}

fn circumstances(asked: &AccessAsked, context: &AccessContext) -> Result<Context, Box<dyn Error>> {
    let clock = Clock::of(context.now);
    let mut pairs = vec![
        ("seconds".to_owned(), Value::new_long(asked.seconds.into())),
        ("hour".to_owned(), Value::new_long(clock.hour)),
        ("minute".to_owned(), Value::new_long(clock.minute)),
        ("weekday".to_owned(), Value::new_long(clock.weekday)),
    ];
    if let Some(ticket) = &asked.ticket {
        pairs.push(("ticket".to_owned(), text(ticket.as_str())));
    }
    if let Some(source) = context.source {
        // An IPv4 address is in no IPv6 network, and `::ffff:203.0.113.9` is one.
        pairs.push(("source".to_owned(), Value::new_ip(source.to_canonical().to_string())));
    }
    if let Some(age) = context.mfa_age {
        pairs.push(("mfaAge".to_owned(), Value::new_long(age.into())));
    }
    Ok(Context::from_pairs(pairs)?)
}

fn text(text: &str) -> Value {
    Value::new_string(text.to_owned())
}

fn several(names: impl Iterator<Item = String>) -> Value {
    Value::new_set(names.map(Value::new_string))
}

/// As people and roles are compared: `Alice` is no second person. A provider's subjects differ in their letters' case, so they stay as they are.
fn lower(name: &str) -> String {
    if name.starts_with("subject/") { name.to_owned() } else { name.to_ascii_lowercase() }
}

/// The clock and the day of the week, in UTC.
#[derive(Debug, PartialEq, Eq)]
struct Clock {
    hour: i64,
    minute: i64,
    weekday: i64,
}

impl Clock {
    fn of(now: Timestamp) -> Self {
        let minutes = now.millis().div_euclid(60_000);
        // 1970 began on a Thursday.
        let weekday = (minutes.div_euclid(24 * 60) + 3).rem_euclid(7) + 1;
        Self { hour: minutes.div_euclid(60).rem_euclid(24), minute: minutes.rem_euclid(60), weekday }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_utc_and_weeks_begin_on_monday() {
        for (now, hour, minute, weekday) in [
            ("1970-01-01T00:00:00Z", 0, 0, 4),
            ("1969-12-31T23:59:59.999Z", 23, 59, 3),
            ("2026-12-31T23:59:59.999Z", 23, 59, 4),
            ("2027-01-01T00:00:00Z", 0, 0, 5),
            ("2027-01-03T22:30:00Z", 22, 30, 7),
            ("2027-01-04T01:30:00+02:00", 23, 30, 7),
            ("2028-02-29T12:00:00Z", 12, 0, 2),
        ] {
            assert_eq!(Clock::of(now.parse().unwrap()), Clock { hour, minute, weekday }, "{now}");
        }
    }
}
