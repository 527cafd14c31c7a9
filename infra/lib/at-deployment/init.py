"""Has the engine make its tables: invokes the function once a deployment, and fails it with the engine's reason."""
import json

import boto3
import cfnresponse


def handler(event, context):
    try:
        data = {}
        if event["RequestType"] != "Delete":
            answer = boto3.client("lambda").invoke(
                FunctionName=event["ResourceProperties"]["FunctionName"], Payload=b'{"init": true}'
            )
            said = answer["Payload"].read().decode()
            if "FunctionError" in answer:
                raise RuntimeError(said[:500])
            print(said)
        cfnresponse.send(event, context, cfnresponse.SUCCESS, data, "init")
    except Exception as error:
        print(repr(error))
        cfnresponse.send(event, context, cfnresponse.FAILED, {}, "init", reason=str(error)[:900])
