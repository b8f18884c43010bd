//! The event as it is sent: of AWS's shape, only the fields Cordon reads.
//!
//! Names as in the GuardDuty API (version 2017-11-28, shape `Finding`) inside EventBridge's envelope. Every field takes any value.

use serde::Deserialize;

use crate::loose::{List, Part, Scalar};

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $kind:ty),+ $(,)? })+) => {
        $(
            $(#[$doc])*
            #[derive(Default, Deserialize)]
            #[serde(default, rename_all = "camelCase")]
            pub(crate) struct $name { $($(#[$attr])* pub(crate) $field: $kind),+ }
        )+
    };
}

shapes! {
    /// EventBridge's envelope.
    Event {
        id: Scalar,
        source: Scalar,
        #[serde(rename = "detail-type")]
        detail_type: Scalar,
        account: Scalar,
        region: Scalar,
        time: Scalar,
        detail: Part<Detail>,
    }
    /// The finding.
    Detail {
        id: Scalar,
        #[serde(rename = "type")]
        kind: Scalar,
        account_id: Scalar,
        region: Scalar,
        severity: Scalar,
        created_at: Scalar,
        updated_at: Scalar,
        resource: Part<Resource>,
        /// In a Health event this is a string, and not read.
        service: Part<Service>,
        // Of a Health event (AWS Health user guide, "Reference: AWS Health events Amazon EventBridge schema").
        event_arn: Scalar,
        event_type_code: Scalar,
        status_code: Scalar,
        affected_account: Scalar,
        affected_entities: List<Part<Entity>, 1000>,
    }
    Entity {
        entity_value: Scalar,
    }
    Resource {
        resource_type: Scalar,
        instance_details: Part<Instance>,
        access_key_details: Part<AccessKey>,
    }
    AccessKey {
        access_key_id: Scalar,
        principal_id: Scalar,
        user_type: Scalar,
        user_name: Scalar,
    }
    Instance {
        instance_id: Scalar,
        instance_state: Scalar,
        image_id: Scalar,
        launch_time: Scalar,
        iam_instance_profile: Part<Profile>,
        network_interfaces: List<Part<Interface>, 256>,
        tags: List<Part<Tag>, 100>,
    }
    Profile {
        arn: Scalar,
        id: Scalar,
    }
    Interface {
        network_interface_id: Scalar,
        vpc_id: Scalar,
        subnet_id: Scalar,
        security_groups: List<Part<Group>, 64>,
        private_ip_address: Scalar,
        private_ip_addresses: List<Part<PrivateIp>, 64>,
        ipv6_addresses: List<Scalar, 64>,
        public_ip: Scalar,
    }
    Group {
        group_id: Scalar,
    }
    PrivateIp {
        private_ip_address: Scalar,
    }
    Tag {
        key: Scalar,
        value: Scalar,
    }
    Service {
        resource_role: Scalar,
        archived: Scalar,
        count: Scalar,
        event_first_seen: Scalar,
        event_last_seen: Scalar,
        additional_info: Part<AdditionalInfo>,
        action: Part<Action>,
    }
    /// Two forms are seen: an object with `sample` in it, and the same as a JSON document in the string `value`.
    AdditionalInfo {
        sample: Scalar,
        value: Scalar,
    }
    Action {
        network_connection_action: Part<Connection>,
        port_probe_action: Part<PortProbe>,
        dns_request_action: Part<Named>,
        aws_api_call_action: Part<ApiCall>,
    }
    Connection {
        remote_ip_details: Part<Ip>,
        remote_port_details: Part<Port>,
    }
    PortProbe {
        port_probe_details: List<Part<Connection>, 64>,
    }
    ApiCall {
        remote_ip_details: Part<Ip>,
        domain_details: Part<Named>,
    }
    Ip {
        ip_address_v4: Scalar,
        ip_address_v6: Scalar,
    }
    Port {
        port: Scalar,
    }
    Named {
        domain: Scalar,
    }
}
