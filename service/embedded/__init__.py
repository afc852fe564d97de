"""Everything of Clearway as processes of one machine: a supervisor with a queue server, a gateway, workers and a trainer.

`clearway up` runs it. The same processes run one by one, under systemd or Kubernetes, by `clearway gateway`, `worker` and
`trainer`; nothing in them knows the supervisor. It starts, restarts and stops; it neither schedules nor stores.
"""
