//! An incident's data key, wrapped by KMS.

use calls::CallLog;
use evidence::Secret;
use evidence_store::KmsWrap;
use ids::IncidentId;
use serde_json::json;

use crate::stage::{Stage, text};

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_data_key_is_wrapped_by_kms_for_one_incident_and_one_key() {
    let stage = Stage::open();
    let new = json!({ "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT" });
    let key = async || text(&stage.root.json("kms", "TrentService.CreateKey", &new).await.unwrap()["KeyMetadata"]["Arn"]);
    let (own, other) = (key().await, key().await);
    let wrap = KmsWrap::new(&stage.root_config(), CallLog::default());
    let (incident, another) = (IncidentId::derive("a", "x"), IncidentId::derive("b", "x"));
    let secret = "AGE-SECRET-KEY-planted-for-this-test";
    let wrapped = wrap.wrap(&own, &incident, &Secret::new(secret.to_owned())).await.unwrap();
    assert!(!wrapped.windows(secret.len()).any(|part| part == secret.as_bytes()));
    let opened = wrap.unwrap(&own, &incident, wrapped.clone()).await.unwrap();
    assert!(opened.with(|text| text == secret));
    // KMS binds it to the incident and to the key. That it notices a changed byte is AWS's to show: the emulator does not.
    for (key, incident, wrapped, what) in
        [(&own, &another, wrapped.clone(), "another incident"), (&other, &incident, wrapped, "another key")]
    {
        assert!(wrap.unwrap(key, incident, wrapped).await.is_err(), "{what}");
    }
}
