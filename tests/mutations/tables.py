"""Mistakes of the tables that both engines share, and of the engine on SQLite: its file, mark, disk and migrations."""

from mutations import Mutation

MUTATIONS = (
    # SQLite.
    Mutation(
        "A power cut lost what was acknowledged: the commit before it did not wait, nor did this one.",
        "sqlite/engine.py",
        'self._set_level(outbox_file.SYNCHRONOUS if waits_for_disk else "NORMAL")',
        'self._set_level(self._level if waits_for_disk else "NORMAL")',
        "conformance/sqlite/test_power_cut.py"
        "::test_message_waits_for_the_disk_though_the_level_stayed",
    ),
    Mutation(
        "A log that was cut lost acknowledged readings, and the start said nothing.",
        "sqlite/engine.py",
        "        self._mark.move(numbers)\n",
        "",
        "conformance/sqlite/test_high_water_mark.py::test_a_cut_log_is_refused[True]",
    ),
    Mutation(
        "A crash within a commit looked like a loss: the mark stood before its outbox.",
        "sqlite/engine.py",
        '        self._connection.execute("COMMIT")\n        self._disk_space.note()\n',
        "        self._mark.move(numbers)\n"
        '        self._connection.execute("COMMIT")\n        return self._disk_space.note()\n',
        "conformance/sqlite/test_high_water_mark.py::test_mark_stands_after_the_commit",
    ),
    Mutation(
        "An outbox that was gone was begun anew beside its mark, and its loss went unnoticed.",
        "sqlite/file.py",
        "            _refuse_leavings(path)\n",
        "",
        "conformance/sqlite/test_high_water_mark.py"
        "::test_an_outbox_that_is_gone_is_not_begun_anew[-mark]",
    ),
    Mutation(
        "An emptied outbox was taken for a new one.",
        "sqlite/file.py",
        "        if not path.exists():\n            _refuse",
        "        if not path.exists() or not path.stat().st_size:\n            _refuse",
        "conformance/sqlite/test_file.py::test_an_emptied_file_is_damaged_not_new",
    ),
    Mutation(
        "`outbox check` of an emptied outbox advised to start the service, which refuses such a file.",
        "sqlite/file.py",
        "if version < 1 or not tables:",
        "if version < 0:",
        "integration/cli/test_outbox.py::test_emptied_file",
    ),
    Mutation(
        "A crash during an upgrade left tables of the new version in a file of the old one.",
        "sqlite/file.py",
        '        connection.execute(f"PRAGMA user_version = {newest}")\n'
        '        connection.execute("COMMIT")\n',
        '        connection.execute("COMMIT")\n'
        '        connection.execute(f"PRAGMA user_version = {newest}")\n',
        "conformance/sqlite/test_upgrade.py::test_steps_and_version_are_one_transaction",
    ),
    Mutation(
        "After an upgrade numbers were given a second time, and readings overtook older ones.",
        "sqlite/migrations.py",
        "    connection.execute(\"DELETE FROM sqlite_sequence WHERE name = 'reading'\")\n"
        "    connection.execute(\"INSERT INTO sqlite_sequence VALUES ('reading', ?)\", (highest,))\n",
        "",
        "conformance/sqlite/test_upgrade.py::test_a_message_of_before_is_known_when_it_comes_again",
    ),
    Mutation(
        "A command's change was missed where the commit that followed the look had failed.",
        "sqlite/engine.py",
        "        return Look(has_foreign_change=self._version_seen != self._version_answered)\n",
        "        before, self._version_answered = self._version_answered, self._version_seen\n"
        "        return Look(has_foreign_change=self._version_seen != before)\n",
        "conformance/test_commits.py"
        "::test_foreign_change_is_seen_until_a_commit_that_holds_has_answered_it[sqlite]",
    ),
    Mutation(
        "A disk that filled within a second took no settlement any more, so nothing made room.",
        "sqlite/disk_space.py",
        "        if not was_watched:\n            self._measure()\n            self.note()\n",
        "",
        "conformance/sqlite/test_disk_space.py"
        "::test_deliveries_make_room_on_a_disk_that_is_suddenly_full",
    ),
    Mutation(
        "A small disk was filled by the log, which could not be carried over into the file any more.",
        "sqlite/disk_space.py",
        "self._free_bytes // self._page_size // SHARE",
        "self._free_bytes // self._page_size",
        "conformance/sqlite/test_disk_space.py::test_log_takes_an_eighth_of_what_is_free",
    ),
    Mutation(
        "A full disk held more in the log than the file could take.",
        "sqlite/disk_space.py",
        "if 2 * growth > self._free_bytes:",
        "if growth > self._free_bytes:",
        "conformance/sqlite/test_disk_space.py::test_what_would_not_fit_is_refused_and_kept",
    ),
    Mutation(
        "A fast intake went far past OUTBOX_MAX_BYTES: the size was looked at now and then.",
        "sqlite/disk_space.py",
        "is_ample = min(self._free_bytes, self._max_bytes - self._readings_bytes) >= AMPLE_BYTES",
        "is_ample = self._free_bytes >= AMPLE_BYTES",
        "conformance/sqlite/test_disk_space.py::test_plenty_of_room_is_looked_at_now_and_then",
    ),
    Mutation(
        "Junk of 40 names filled the outbox, and no reading was taken for 30 days.",
        "sqlite/disk_space.py",
        "        return used - quarantined\n",
        "        return used\n",
        "conformance/test_quarantine.py::test_junk_takes_no_room_from_readings[sqlite]",
    ),
    Mutation(
        "The room of what was forgotten did not come back: a sweep freed one page.",
        "sqlite/statements.py",
        "        for _ in range(pages):\n",
        "        if pages:\n",
        "conformance/sqlite/test_file.py::test_free_pages_are_given_back",
    ),
    Mutation(
        "The file of a service without traffic never shrank.",
        "sqlite/file.py",
        '            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()\n',
        "            pass\n",
        "conformance/sqlite/test_file.py::test_the_file_of_an_idle_service_shrinks",
    ),
    Mutation(
        "A delivery that failed and was then put off lost its last error in lists.",
        "sqlite/statements.py",
        '_PUT_OFF = "UPDATE delivery SET due_at = ? WHERE',
        '_PUT_OFF = "UPDATE delivery SET due_at = ?, last_status = NULL, last_error = NULL WHERE',
        "conformance/test_outbox.py::test_putting_off_keeps_what_the_last_attempt_came_to[sqlite-False]",
    ),
    Mutation(
        "A delivery that nobody answered showed the status of an earlier attempt.",
        "sqlite/statements.py",
        "last_status = CASE WHEN ended.column2 IS NULL THEN last_status ELSE ? END",
        "last_status = coalesce(?, last_status)",
        "conformance/test_outbox.py::test_status_is_of_the_last_attempt[sqlite-decision1]",
    ),
    Mutation(
        "A retry of what a command had ended left its lane with one too many, which nobody could send.",
        "sqlite/statements.py",
        "            if self.connection.execute(statement, row).rowcount == 0:\n"
        "                self.touch([one])\n",
        "            self.connection.execute(statement, row)\n",
        "unit/outbox/test_store.py::test_retry_of_what_was_pending_no_more_touches_its_lane",
    ),
    Mutation(
        "A delivery of what a command had ended left its lane standing still.",
        "sqlite/statements.py",
        "        if changed < len(ended):\n",
        "        if changed > len(ended):\n",
        "unit/outbox/test_store.py::test_lanes_of_what_was_pending_no_more_are_touched",
    ),
    # Both engines.
    Mutation(
        "After a commit that failed readings were owed to an endpoint that nobody knew.",
        "sql/tables.py",
        "        self._endpoint_ids.clear()\n",
        "",
        "conformance/test_outbox.py"
        "::test_endpoint_of_a_transaction_that_failed_is_made_anew[sqlite]",
    ),
    Mutation(
        "A replayed dead letter stayed pending until a restart.",
        "sql/operations.py",
        "        store.add(key.endpoint, state, -1)\n"
        "    store.note_lane(key.endpoint, _device(store.connection, key.reading))\n",
        "        store.add(key.endpoint, state, -1)\n",
        "conformance/test_outbox.py::test_lane_that_a_command_changed_is_counted_again[sqlite]",
    ),
    Mutation(
        "A replayed dead letter expired at once.",
        "sql/operations.py",
        "settled_at = NULL, age_from = ?,",
        "settled_at = NULL, age_from = min(age_from, ?),",
        "conformance/test_operator.py::test_replay_makes_a_dead_letter_pending_as_if_new[sqlite]",
    ),
    Mutation(
        "A replayed dead letter was counted as dead and as pending.",
        "sql/operations.py",
        "        store.add(key.endpoint, state, -1)\n",
        "        pass\n",
        "conformance/test_operator.py::test_replay_counts_as_pending_again[sqlite]",
    ),
    Mutation(
        "A reading that was replayed to another endpoint was in no list of the time when it came in.",
        "sql/operations.py",
        "_owe(store, there, _enqueued_at(store, key), now)",
        "_owe(store, there, now, now)",
        "conformance/test_lists.py::test_a_reading_sent_elsewhere_keeps_when_it_came_in[sqlite]",
    ),
    Mutation(
        "How long the last attempt of a delivery took was in no list.",
        "sql/endings.py",
        "repeat(attempt.duration_ms)",
        "repeat(attempt.attempted_at)",
        "conformance/test_commits.py::test_batch_settles_what_is_still_pending[sqlite]",
    ),
    Mutation(
        "An outage at another replica that was over between two looks was told to nobody.",
        "sql/endpoints.py",
        "health.last_error, health.last_error_at, health.outage_since,",
        "health.last_error, health.last_error_at, None,",
        "conformance/test_outbox.py::test_circuit_and_pause_survive_a_restart[postgresql]",
    ),
    Mutation(
        "A 410's end let an endpoint go on that an operator had paused.",
        "sql/endpoints.py",
        "WHERE id = ? AND coalesce(paused_by, '') <> 'operator'",
        "WHERE id = ?",
        "conformance/test_outbox.py::test_operators_pause_outlives_a_410[sqlite]",
    ),
    Mutation(
        "A known reading that was owed anew could not be sent: its body was gone.",
        "sql/tables.py",
        "        if added:\n",
        "        if not added:\n",
        "conformance/postgresql/test_homes.py"
        "::test_known_reading_that_is_owed_anew_reaches_its_home",
    ),
    Mutation(
        "The last reading of an interval was enqueued, and not sent until a restart.",
        "sql/candidates.py",
        "        tables.touched.add(lane)\n",
        "        pass\n",
        "conformance/test_candidates.py::test_only_the_last_of_an_interval_is_owed[sqlite]",
    ),
    Mutation(
        "The quarantine stayed above a share that was lowered.",
        "sql/operations.py",
        "return store.quarantined.evict(max_bytes=wanted.max_bytes, most_bytes=EVICTED_BYTES)",
        "return False",
        "conformance/test_quarantine.py::test_a_lowered_share_is_reached_in_steps[sqlite]",
    ),
    Mutation(
        "A purged device came back with a record that was on its way.",
        "sql/bringing_in.py",
        "tables.devices.record(changes.devices, but=applied.forgotten)",
        "tables.devices.record(changes.devices, but=())",
        "conformance/test_devices.py"
        "::test_a_record_of_the_transaction_that_hears_of_a_purge_is_erased_too[sqlite]",
    ),
    Mutation(
        "A notice that names several devices held the MAC of one that was purged.",
        "sql/erasure.py",
        "{data}",
        "FALSE AND {data}",
        "integration/cli/test_purge.py::test_notices_that_name_the_device_are_erased",
    ),
    Mutation(
        "Minutes of the line were those of the replica that wrote last.",
        "sql/minutes.py",
        "(one.endpoint, one.at, replica, json",
        "(one.endpoint, one.at, '', json",
        "conformance/test_minutes.py::test_minutes_of_several_replicas_are_added_up[sqlite]",
    ),
)
