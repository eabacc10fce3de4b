<?php
// WEBHOOK_SECRET=whsec_… php -S 127.0.0.1:9000 receiver.php        (PHP 8.1 or newer, and nothing else)
//
// Behind a web server it works as it stands; PHP for the command line alone is enough to try it.

declare(strict_types=1);

/** The keys of one secret, or of two, separated by a space, while the key is rotated. */
function keys_of(string $secrets): array
{
    $found = preg_split('/\s+/', trim($secrets));
    foreach ($found as $secret) {
        if (!preg_match('#^whsec_([A-Za-z0-9+/=]{4}){8,22}$#D', $secret)) {
            throw new DomainException('WEBHOOK_SECRET has to be the whsec_… that the forwarder signs with');
        }
    }
    return array_map(fn ($secret) => base64_decode(substr($secret, strlen('whsec_'))), $found);
}

/** Why a request is not genuine (Standard Webhooks 1.0.0); null when it is. */
function why_not(array $headers, string $body, array $keys, int $now): ?string
{
    [$id, $timestamp, $signatures] = $headers;
    if ($id === '' || $signatures === '' || !preg_match('/^[0-9]{1,12}$/D', $timestamp)) {
        return 'webhook-id, webhook-timestamp or webhook-signature is missing';
    }
    if (abs($now - (int) $timestamp) > 300) {
        return 'webhook-timestamp is more than 5 minutes off';
    }
    foreach ($keys as $key) {
        $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
        foreach (explode(' ', $signatures) as $signature) {
            if (hash_equals($expected, $signature)) {
                return null;
            }
        }
    }
    return 'no signature fits';
}

/** The readings in a body, standard or CloudEvents, one or a batch; none in types that we do not know. */
function readings_of(string $body): array
{
    $document = json_decode($body, flags: JSON_THROW_ON_ERROR);
    $readings = [];
    foreach (is_array($document) ? $document : [$document] as $event) {
        if (preg_match('/^(ch\.whatwatt\.)?meter\.readings?$/D', $event->type)) {
            array_push($readings, ...(is_array($event->data) ? $event->data : [$event->data]));
        }
    }
    return $readings;
}

/** Stores a reading in a file named by its id unless it is there; whether it was new. In a database: a unique key. */
function keep(object $reading, string $folder): bool
{
    $path = "$folder/$reading->id.json"; // ids are letters, digits and _ alone, and the signature vouches for it
    if (file_exists($path)) {
        return false;
    }
    $file = fopen($path . '.' . getmypid(), 'w');
    fwrite($file, json_encode($reading, JSON_THROW_ON_ERROR));
    fsync($file);
    fclose($file);
    return rename($path . '.' . getmypid(), $path); // whole or not at all
}

function answer(int $status, string $sentence = ''): void
{
    http_response_code($status);
    header('content-type: text/plain');
    echo $sentence;
}

function receive(): void
{
    $names = ['HTTP_WEBHOOK_ID', 'HTTP_WEBHOOK_TIMESTAMP', 'HTTP_WEBHOOK_SIGNATURE'];
    $headers = array_map(fn ($name) => $_SERVER[$name] ?? '', $names);
    $body = file_get_contents('php://input'); // as it came: parsed and written again it would not fit
    $problem = why_not($headers, $body, keys_of(getenv('WEBHOOK_SECRET') ?: ''), $_SERVER['REQUEST_TIME']);
    if ($problem !== null) {
        answer(401, $problem);
        return;
    }
    $folder = getenv('STORE') ?: 'readings';
    if (!is_dir($folder)) {
        mkdir($folder, 0700, true);
    }
    foreach (readings_of($body) as $reading) { // on disk before the answer: a 2xx is not sent again
        if (keep($reading, $folder)) {
            file_put_contents('php://stdout', "$reading->id $reading->device $reading->measured_at\n");
        }
    }
    answer(204);
}

set_error_handler(fn ($severity, $message) => throw new ErrorException($message)); // a full disk is no 2xx
try {
    receive();
} catch (Throwable $error) {
    error_log($error->getMessage());
    answer(500, $error instanceof DomainException ? $error->getMessage() : 'it could not be stored');
}
