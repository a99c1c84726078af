-- For a server of one instance only, under ./dev and in the containers: removes accounts that are not the service's.
DELETE FROM mysql.global_priv WHERE User = '';
DELETE FROM mysql.proxies_priv WHERE Host <> 'localhost';
