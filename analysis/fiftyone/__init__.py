"""The parts of the FiftyOne bridge; `analysis.fiftyone_bridge` is the door.

FiftyOne is never imported by a page or a command: it takes seconds, and importing it starts a database. What
needs it runs in a process of its own (`push_process`, `pull_process`, `app_process`); this side talks to
those processes and to the files they leave.

    environment.py  is FiftyOne installed, where is mongod, which variables do its processes get
    processes.py    start, recognise and end processes; the state file
    server.py       the database and the App: start, probe, status, stop
    links.py        addresses in FiftyOne's App and in ours
    ids.py          the same object gets the same id on every push
    judge.py        one operating point -> verdict of every object and detection
    documents.py    rows -> the documents FiftyOne stores
    schema.py       fields, sidebar, colours and saved views
    evaluation.py   our matches as an evaluation that FiftyOne opens
    push.py         the push; client.py runs it in its own process
"""
