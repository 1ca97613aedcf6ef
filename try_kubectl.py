import tempfile, pathlib, sys, time, threading
from tests.fakes.kube_world import KubeWorld, ALL
RULES = ALL + """\
  - {name: nope, effect: deny, match: {verbs: [get], resources: [secrets], names: [hidden]}, reason: "secrets are not shown"}
  - {name: held, effect: hold, match: {verbs: [delete], resources: [configmaps]}, approval: {reviewers: ['group:reviewers'], timeout: 20m}}
  - {name: held2, effect: hold, match: {verbs: [exec], resources: [pods]}, approval: {reviewers: ['group:reviewers'], timeout: 20m}}
"""
K136='/tmp/lead/real/root/usr/bin/kubectl'
w=KubeWorld(pathlib.Path(tempfile.mkdtemp()), rules=RULES, hold_wait="2s")
w.__enter__()
try:
    w.start()
    def run(*a, **k):
        for p in ('', K136):
            t=time.time(); r=w.kubectl(*a, program=p, **k); print(f"$ {'1.36' if p else '1.32'} kubectl {' '.join(a)}  ({time.time()-t:.1f}s)"); print(r.text[:600])
    run('create','configmap','c1','--from-literal=a=b')
    run('create','deployment','d1','--image=x','--dry-run=server','-o','name')
    run('get','pods', config=w.route('not-a-token', 'bad'))
    run('auth','can-i','delete','pods')
    import subprocess
    def vote(verdict, sleep):
        time.sleep(sleep)
        import asyncio
        for q in asyncio.run(w.admin().call('approvals.list', {})) if False else []: pass
    run('exec','web','--','ls')
    run('get','pods','-w','--request-timeout=1s')
    c=w.client()
    for m,p,kw in [('GET','/api/v1/pods',{'headers':{'accept':'application/cbor'}}),('HEAD','/api/v1/namespaces/default/secrets/hidden',{}),('POST','/api/v1/namespaces/default/pods',{'content':b'{}','headers':{'content-type':'application/cbor'}}),('POST','/api/v1/namespaces/default/pods',{'content':b'{"a":"'+b'x'*(9<<20)+b'"}','headers':{'content-type':'application/json'}}),('OPTIONS','/api/v1/pods',{}),('GET','/api/v1/pods/..%2f',{}), ('GET','/api/v1/namespaces/default/pods/x/exec?command=ls',{'headers':{'connection':'upgrade','upgrade':'foo'}})]:
        try:
            r=c.request(m,p,**kw); print(m,p,r.status_code,dict(r.headers),r.text[:300])
        except Exception as e: print(m,p,repr(e))
    print(w.gateway.output[-1500:])
finally:
    w.__exit__(None,None,None)
