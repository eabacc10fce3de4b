"""
Parts that several kinds of tests share.

    the real thing  line (the whole line), service, command, replicas, containers, container_project, installation
    harnesses       outbox_harness, subscriber_harness, dispatcher_harness, behind_http; engines, postgres
    builders        readings, any_reading, outbox_builder, routing, payloads, posting, notices; outbox, in few words
    brokers         mosquitto; amqtt_broker, aedes_broker, scripted_broker; publisher and heavy_publisher beside them
    receivers       webhooks with receiver_policies, receiver, misbehaviour, odd_answers, wrong_receivers, examples;
                    transports (no socket), token_server
    hostile         attack (the record), port_attack, fuzz, literals, terminal
    faults          faults, hung_files, descriptors, memory
    surroundings    clock, ports, certificates, shell, programs, properties, clicks, sources
"""
