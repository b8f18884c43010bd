//! The Lambda function `mint`.

use evidence_store::S3;
use mint::Environment;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let get = |name: &'static str| std::env::var(name).ok();
    responder::log_to_stdout(get);
    let environment: Environment<S3> = Environment::load(get)?;
    responder::serve(async |event: &[u8], invocation: &responder::Invocation| mint::handle(event, invocation, &environment).await)
        .await
}
