-- For a server that belongs to one instance alone, as under ./dev and in the containers: nobody else gets in.
DELETE FROM mysql.global_priv WHERE User = '';
DELETE FROM mysql.proxies_priv WHERE Host <> 'localhost';
