//! The Lambda function `quarantine`.

use evidence_store::S3;
use quarantine::Environment;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let environment: Environment<S3> = Environment::load(|name| std::env::var(name).ok()).await?;
    responder::serve(async |event: &[u8], invocation: &responder::Invocation| {
        quarantine::handle(event, invocation, &environment).await
    })
    .await
}
