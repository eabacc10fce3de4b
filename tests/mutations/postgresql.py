"""Mistakes of the engine on PostgreSQL: its sessions, replicas, homes, notes and copies."""

from mutations import Mutation

MUTATIONS = (
    # Sessions and commits.
    Mutation(
        "A commit was acknowledged that no standby had: the server was set not to wait for one.",
        "postgresql/connection.py",
        "WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')",
        "WHERE current_setting('synchronous_commit') IN ('off')",
        "conformance/postgresql/test_standby.py"
        "::test_no_commit_is_believed_before_a_standby_has_it[local-on]",
    ),
    Mutation(
        "A commit was acknowledged whose wait for the standby somebody had cancelled.",
        "postgresql/connection.py",
        "        if self._warnings:\n            raise",
        "        if not self.is_lost:\n            return\n        if self._warnings:\n            raise",
        "conformance/postgresql/test_fencing.py"
        "::TestWhenNoStandbyAnswers::test_message_is_not_acknowledged",
    ),
    Mutation(
        "A reading that no standby had confirmed at first was stored, and not sent until a restart.",
        "postgresql/engine.py",
        "            self._is_uncertain = True\n            raise\n",
        "            raise\n",
        "conformance/postgresql/test_fencing.py"
        "::TestWhenNoStandbyAnswers::test_message_is_not_acknowledged",
    ),
    Mutation(
        "A reading whose commit had lost its connection was stored, and not sent until a restart.",
        "postgresql/engine.py",
        "applied.counted, applied.is_whole = dict(counted), True",
        "applied.counted, applied.is_whole = {}, False",
        "conformance/postgresql/test_fencing.py::test_session_lost_in_a_commit[True]",
    ),
    Mutation(
        "A replica whose session had led to a standby could write nothing until a restart.",
        "postgresql/connection.py",
        "            self.close()\n            raise\n",
        "            raise\n",
        "conformance/postgresql/test_standby.py::test_puts_go_on_over_another_session",
    ),
    Mutation(
        "An address that led to a standby for a moment gave a session that takes no writes.",
        "postgresql/connection.py",
        "{**LATENESS, **WRITABLE, **given, ",
        "{**LATENESS, **given, ",
        "conformance/postgresql/test_standby.py"
        "::test_standby_is_refused_unless_the_url_asks_for_any",
    ),
    Mutation(
        "After a lock timeout at the wrong moment a leader stood until somebody restarted it.",
        "postgresql/engine.py",
        "            self._writer.close()\n            raise\n",
        "            raise\n",
        "conformance/postgresql/test_fencing.py"
        "::test_session_that_could_not_take_what_is_ours_is_not_kept",
    ),
    Mutation(
        "A reading was counted twice and never sent: the size could not be measured after its commit.",
        "postgresql/engine.py",
        "        with suppress(psycopg.Error):\n",
        "        with suppress(ZeroDivisionError):\n",
        "conformance/postgresql/test_fencing.py::test_measuring_that_fails_repeats_no_commit",
    ),
    Mutation(
        "A replica that started ended, because it was the one to yield in a deadlock.",
        "postgresql/connection.py",
        "    for _ in range(TRIES - 1):\n",
        "    for _ in range(0):\n",
        "conformance/postgresql/test_fencing.py"
        "::test_start_that_has_to_yield_in_a_deadlock_is_tried_again",
    ),
    Mutation(
        "What an asynchronous failover had lost was told to nobody.",
        "postgresql/engine.py",
        "                self._acknowledged = self._store.reserved\n",
        "                pass\n",
        "conformance/postgresql/test_fencing.py::test_failover_that_lost_something_is_told",
    ),
    Mutation(
        "Without statistics a settlement of 1,000 looked through all that was pending.",
        "postgresql/statements.py",
        "            AND d.state || '' = 'pending'\n        RETURNING d.endpoint, d.state\n",
        "            AND d.state = 'pending'\n        RETURNING d.endpoint, d.state\n",
        "conformance/postgresql/test_fencing.py"
        "::test_statements_find_their_rows_by_their_numbers[False]",
    ),
    Mutation(
        "A long log was counted row by row between two commits.",
        "postgresql/size.py",
        "\"SELECT pg_relation_size('body') + pg_relation_size('reading') + pg_relation_size('delivery')\"",
        "\"SELECT pg_relation_size('body')\"",
        "conformance/postgresql/test_size.py"
        "::test_large_log_without_bodies_is_taken_from_statistics",
    ),
    Mutation(
        "The start of a new version, or the replica beside it, failed in a deadlock.",
        "postgresql/schema.py",
        '            connection.execute("SELECT 1 FROM line FOR UPDATE")\n',
        "",
        "conformance/postgresql/test_upgrade.py::test_replica_that_runs_goes_on_beside_an_upgrade",
    ),
    # Homes, bodies and notes.
    Mutation(
        "A replica that had been taken over settled deliveries of the one that has its endpoints.",
        "postgresql/engine.py",
        "        if any(epochs.get(one) != self._homes.get(one) for one in ours):\n",
        "        if not epochs:\n",
        "conformance/postgresql/test_fencing.py::test_deposed_owner_settles_nothing[None]",
    ),
    Mutation(
        "A replica that had been taken over went on storing readings.",
        "postgresql/statements.py",
        "row = self.connection.execute(_RESERVE, (count, epoch, epoch, *rung)).fetchone()",
        "row = self.connection.execute(_RESERVE, (count, None, None, *rung)).fetchone()",
        "conformance/postgresql/test_fencing.py::test_deposed_leader_stores_nothing",
    ),
    Mutation(
        "Two replicas that settled deliveries of the same readings waited for each other in a circle.",
        "postgresql/statements.py",
        "        self._unneeded.update(readings)\n",
        "        self._unneeded.update(readings)\n        self.drop_unneeded()\n",
        "conformance/postgresql/test_homes.py"
        "::test_replicas_that_drop_the_same_bodies_do_not_wait_in_a_circle",
    ),
    Mutation(
        "Bodies stayed for ever that two replicas had settled at once.",
        "postgresql/statements.py",
        "            if self.has_others:\n",
        "            if not self.has_others:\n",
        "conformance/postgresql/test_homes.py"
        "::test_body_is_gone_once_two_replicas_have_settled_it_at_once",
    ),
    Mutation(
        "A replayed dead letter stayed pending: a put took the note of its lane before its commit.",
        "sql/tables.py",
        "ON CONFLICT (endpoint, device) DO UPDATE SET device = excluded.device",
        "ON CONFLICT (endpoint, device) DO NOTHING",
        "conformance/postgresql/test_notes.py::test_note_is_not_taken_from_under_its_writer",
    ),
    Mutation(
        "Two that noted and took the same lanes waited for each other in a circle.",
        "postgresql/statements.py",
        'ORDER BY endpoint, device COLLATE "C" FOR UPDATE',
        "FOR UPDATE",
        "conformance/postgresql/test_notes.py::test_notes_are_taken_in_the_order_in_which_they_are_written",
    ),
    Mutation(
        "A replica that noted several lanes was ended as a deadlock, because another one took them.",
        "postgresql/statements.py",
        "            self.write_notes(sorted(self._notes))\n",
        "            self.write_notes(sorted(self._notes, reverse=True))\n",
        "conformance/postgresql/test_notes.py::test_notes_are_written_in_the_order_in_which_they_are_taken",
    ),
    Mutation(
        "A reading was sent twice by the replica that an endpoint had moved to.",
        "postgresql/engine.py",
        "store.horizon = seen if self._line_epoch is None else BEYOND_ALL",
        "store.horizon = BEYOND_ALL",
        "conformance/postgresql/test_homes.py"
        "::test_reading_that_comes_between_a_look_and_a_count_is_there_once",
    ),
    Mutation(
        "A delivery that failed and was put off in one commit lost its last error.",
        "postgresql/statements.py",
        "last or (rows[key][4:] if key in rows else _NOT_ATTEMPTED)",
        "last or _NOT_ATTEMPTED",
        "conformance/test_outbox.py"
        "::test_putting_off_keeps_what_the_last_attempt_came_to[postgresql-True]",
    ),
    Mutation(
        "A known reading that was owed anew never reached the replica that delivers it.",
        "postgresql/statements.py",
        "        if is_new and not self.is_home_of(recipient.endpoint):\n",
        "        if is_new and not recipient.endpoint:\n",
        "conformance/postgresql/test_homes.py"
        "::test_known_reading_that_is_owed_anew_reaches_its_home",
    ),
    Mutation(
        "Each commit of a leader began with a look for what it had put itself.",
        "postgresql/engine.py",
        "applied.has_more = self._line_epoch is None and seen < self._last",
        "applied.has_more = seen < self._last",
        "conformance/postgresql/test_homes.py::test_leader_has_no_more_to_read_of_what_it_has_put",
    ),
    # Replicas.
    Mutation(
        "After a stall a living replica was declared dead within milliseconds.",
        "postgresql/members.py",
        "        counts = now - self._counted_at >= BEAT_SECONDS\n",
        "        counts = True\n",
        "conformance/postgresql/test_members.py::TestObservation::test_looks_in_a_burst_count_as_one",
    ),
    Mutation(
        "A living namesake was declared dead as soon as its session was lost.",
        "postgresql/members.py",
        "for one, beat in known.items() if namesakes.get(one) == beat}",
        "for one, beat in namesakes.items()}",
        "conformance/postgresql/test_members.py"
        "::test_living_namesake_whose_session_is_lost_is_not_buried_at_once",
    ),
    Mutation(
        "A leader that was told to stop held the line until its last attempt had ended.",
        "postgresql/members.py",
        "        if self.leads and self._hands_over:\n",
        "        if not self.leads and self._hands_over:\n",
        "conformance/postgresql/test_members.py::test_leader_hands_over_before_it_leaves",
    ),
    Mutation(
        "A replica that was told to stop came to lead for what was left of its drain time.",
        "postgresql/members.py",
        "        elif not (self.leads or self._leaves):\n",
        "        elif not self.leads:\n",
        "conformance/postgresql/test_members.py::test_one_that_leaves_does_not_come_to_lead",
    ),
    Mutation(
        "A start that took more than five seconds warned of a routes.yaml that differs.",
        "postgresql/members.py",
        'if self.routes not in ("", digest)]',
        "if self.routes != digest]",
        "conformance/postgresql/test_members.py"
        "::test_one_that_has_no_routes_yet_differs_from_nobody",
    ),
    Mutation(
        "A replica that woke with its machine sent what others had taken over.",
        "postgresql/members.py",
        "return time.monotonic() if clock is None else time.clock_gettime(clock)",
        "return time.monotonic()",
        "conformance/postgresql/test_members.py"
        "::test_replica_whose_machine_was_suspended_is_not_sure_when_it_wakes",
    ),
    Mutation(
        "Rows of killed replicas kept a changed deployment out for ever.",
        "postgresql/members.py",
        "    WHERE id <> ? AND state ->> 'deployment' <> ? AND EXISTS (\n"
        "        SELECT 1 FROM pg_stat_activity WHERE application_name = 'forwarder ' || id)\n",
        "    WHERE id <> ? AND state ->> 'deployment' <> ?\n",
        "conformance/postgresql/test_members.py"
        "::test_changed_deployment_takes_over_after_all_were_killed",
    ),
    Mutation(
        "An endpoint got nothing for an hour after it had moved to a machine an hour behind.",
        "postgresql/members.py",
        "self.epoch = asked_at - began - self.clock_ahead",
        "self.epoch = asked_at - began",
        "conformance/postgresql/test_members.py::TestClock"
        "::test_machine_an_hour_ahead_knows_it_when_it_joins_and_when_it_was_set_right",
    ),
    Mutation(
        "A step of a machine's clock while the database answered put its retries off.",
        "postgresql/members.py",
        "asked_at + took / 2 - row[0]",
        "(asked_at + time.time()) / 2 - row[0]",
        "conformance/postgresql/test_members.py"
        "::TestClock::test_step_while_the_database_answers_does_not_show",
    ),
    Mutation(
        "A shell whose machine was behind replayed readings that expired at once.",
        "postgresql/access.py",
        "return float(self.connection.execute(_NOW).fetchone()[0])",
        "return __import__('time').time()",
        "conformance/postgresql/test_members.py::TestClock::test_commands_go_by_it",
    ),
    # Copies.
    Mutation(
        "A copy lacked what a command had committed just before it.",
        "postgresql/copying.py",
        '_LOCK = "LOCK TABLE line, home IN EXCLUSIVE MODE"',
        '_LOCK = "SELECT 1 FROM line, home FOR UPDATE"',
        "conformance/postgresql/test_source.py::test_copy_holds_what_a_command_under_way_commits",
    ),
    Mutation(
        "A copy of another deployment's outbox would have had its readings sent by this one.",
        "postgresql/members.py",
        "UPDATE line SET owner = ?, deployment = ? WHERE",
        "UPDATE line SET owner = ?, deployment = CASE ? WHEN '' THEN '' END WHERE",
        "conformance/postgresql/test_source.py::test_outbox_of_another_deployment_is_not_copied",
    ),
    Mutation(
        "An outbox with a text that PostgreSQL cannot keep could not be copied.",
        "copying.py",
        "if _counts(draft.totals()) != _counts(totals):",
        "if draft.totals() != totals:",
        "conformance/test_copying.py::test_text_that_the_other_engine_cannot_keep_is_no_difference[postgresql]",
    ),
    Mutation(
        "Audit records of a copy took the numbers of those that had come along.",
        "postgresql/copying.py",
        '            ("audit", "number", audited),\n',
        "",
        "conformance/test_copying.py::test_numbers_go_on[postgresql]",
    ),
)
