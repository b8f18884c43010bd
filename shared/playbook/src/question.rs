//! What may be asked of policies, whatever the story: do it, propose it, or tell people.

use std::error::Error;

use cedar_policy::{Context, Entities, EntityId, EntityTypeName, EntityUid, ParseErrors, Request, Schema};

/// What may be asked, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    Act,
    Propose,
    Notify,
}

/// Who asks, and what the three questions are called in the schema.
#[derive(Debug, Clone)]
pub(crate) struct Questions {
    function: EntityUid,
    act: EntityUid,
    propose: EntityUid,
    notify: EntityUid,
}

/// Something to ask about.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) resource: EntityUid,
    pub(crate) context: Context,
    pub(crate) entities: Entities,
}

impl Questions {
    /// The questions of `function`: do it, propose it, tell people, as its schema calls them.
    pub(crate) fn new(function: &str, [act, propose, notify]: [&str; 3]) -> Result<Self, Box<ParseErrors>> {
        let action = |name: &str| format!("Cordon::Action::\"{name}\"").parse().map_err(Box::<ParseErrors>::new);
        Ok(Self {
            function: format!("Cordon::Function::\"{function}\"").parse()?,
            act: action(act)?,
            propose: action(propose)?,
            notify: action(notify)?,
        })
    }

    pub(crate) fn request(&self, question: Question, case: &Case, schema: &Schema) -> Result<Request, Box<dyn Error>> {
        let action = match question {
            Question::Act => &self.act,
            Question::Propose => &self.propose,
            Question::Notify => &self.notify,
        };
        let (function, resource, context) = (self.function.clone(), case.resource.clone(), case.context.clone());
        Ok(Request::new(function, action.clone(), resource, context, Some(schema))?)
    }
}

/// A word of the schema: an entity of a type that lists its names.
pub(crate) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}
