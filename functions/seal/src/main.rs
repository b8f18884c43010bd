//! The Lambda function `seal`.

use seal::Environment;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let get = |name: &'static str| std::env::var(name).ok();
    responder::log_to_stdout(get);
    let environment = Environment::load(get)?;
    responder::serve(async |event: &[u8], _: &responder::Invocation| seal::handle(event, &environment).await).await
}
