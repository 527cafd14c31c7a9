"""Makes the API user once, stores the quickstart's configuration in the secret, and tells the contact where it is.

The user and its refresh token stay as they are as long as the client does; nothing secret is printed or mailed.
"""
import json
import secrets

import boto3
import cfnresponse


def stored(client, arn):
    try:
        return json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
    except (client.exceptions.ResourceNotFoundException, ValueError):
        return {}


def new_user(pool, client_id):
    cognito = boto3.client("cognito-idp")
    name, password = "api-" + secrets.token_hex(8), "Aa1!" + secrets.token_urlsafe(32)
    cognito.admin_create_user(UserPoolId=pool, Username=name, MessageAction="SUPPRESS")
    cognito.admin_set_user_password(UserPoolId=pool, Username=name, Password=password, Permanent=True)
    answer = cognito.admin_initiate_auth(
        UserPoolId=pool,
        ClientId=client_id,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": name, "PASSWORD": password},
    )
    token = answer["AuthenticationResult"]["RefreshToken"]
    return {"username": name, "password": password, "cognitoRefreshToken": token}


def hand_over(given):
    manager, arn = boto3.client("secretsmanager"), given["SecretArn"]
    config = json.loads(given["Configuration"])
    before = stored(manager, arn)
    same = all(before.get(key) == config[key] for key in ("cognitoUserPoolId", "cognitoClientId"))
    kept = {key: before.get(key) for key in ("username", "password", "cognitoRefreshToken")}
    user = kept if same and all(kept.values()) else new_user(config["cognitoUserPoolId"], config["cognitoClientId"])
    manager.put_secret_value(SecretId=arn, SecretString=json.dumps({**config, **user}))
    try:
        boto3.client("sns").publish(
            TopicArn=given["TopicArn"],
            Subject="iotlake " + config["env"] + " is deployed",
            Message="What the wizard asks for lies in Secrets Manager, in " + arn
            + "\nIt is not in this mail. Print it with: npm run wizard -- --environment " + config["env"],
        )
    except Exception as error:
        print("the contact could not be told: " + repr(error))


def handler(event, context):
    try:
        if event["RequestType"] != "Delete":
            hand_over(event["ResourceProperties"])
        cfnresponse.send(event, context, cfnresponse.SUCCESS, {}, "handover")
    except Exception as error:
        print(repr(error))
        cfnresponse.send(event, context, cfnresponse.FAILED, {}, "handover", reason=str(error)[:900])
