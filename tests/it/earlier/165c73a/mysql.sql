
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;
DROP TABLE IF EXISTS `coupons`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `coupons` (
  `id` bigint(20) NOT NULL COMMENT '48 random bits; smaller ones were counted',
  `seller_id` bigint(20) NOT NULL,
  `name` varbinary(240) NOT NULL,
  `amount` int(10) unsigned NOT NULL COMMENT 'units on sale',
  `stock` bigint(20) NOT NULL COMMENT 'face value, in the smallest unit of the currency',
  `description` varbinary(4096) NOT NULL,
  `starts_at_ms` bigint(20) NOT NULL DEFAULT 0 COMMENT '0: at once',
  `ends_at_ms` bigint(20) NOT NULL DEFAULT 0 COMMENT '0: never',
  `segments` smallint(5) unsigned NOT NULL,
  `pay_within_s` int(10) unsigned NOT NULL DEFAULT 0 COMMENT '0: no limit',
  `hash_key` binary(16) NOT NULL,
  `generation` int(10) unsigned NOT NULL DEFAULT 1 COMMENT 'fences off scripts from before a rebuild',
  `sold` int(10) unsigned NOT NULL DEFAULT 0,
  `cancelled` int(10) unsigned NOT NULL DEFAULT 0,
  `published` tinyint(3) unsigned NOT NULL DEFAULT 0,
  `created_at_ms` bigint(20) NOT NULL,
  `hub_term` bigint(20) NOT NULL DEFAULT 0 COMMENT 'how often the hub has begun anew',
  `withdrawn` int(10) unsigned NOT NULL DEFAULT 0 COMMENT 'of amount, taken off sale again',
  `unit_limit` tinyint(3) unsigned NOT NULL DEFAULT 1 COMMENT 'units of one customer',
  `price` bigint(20) NOT NULL DEFAULT 0 COMMENT 'in the smallest unit of the currency',
  `currency` varbinary(3) NOT NULL DEFAULT '' COMMENT 'ISO 4217',
  `late_payment` tinyint(3) unsigned NOT NULL DEFAULT 1 COMMENT '1: takes a unit that is left',
  `checkout_url` varbinary(2048) NOT NULL DEFAULT '',
  `waiting_list` tinyint(3) unsigned NOT NULL DEFAULT 0,
  `state` tinyint(3) unsigned NOT NULL DEFAULT 0 COMMENT '0 open, 1 paused, 2 ended, 3 archived',
  `state_version` bigint(20) NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  UNIQUE KEY `coupons_seller_name` (`seller_id`,`name`),
  KEY `coupons_on_sale` (`seller_id`,`ends_at_ms`,`segments`),
  KEY `coupons_created` (`seller_id`,`created_at_ms`),
  KEY `coupons_published` (`published`),
  CONSTRAINT `coupons_seller` FOREIGN KEY (`seller_id`) REFERENCES `users` (`id`),
  CONSTRAINT `coupons_amount` CHECK (`amount` between 1 and 1000000000),
  CONSTRAINT `coupons_stock` CHECK (`stock` >= 0),
  CONSTRAINT `coupons_sold` CHECK (`sold` <= `amount`),
  CONSTRAINT `coupons_segments` CHECK (`segments` between 1 and 256),
  CONSTRAINT `coupons_window` CHECK (`ends_at_ms` = 0 or `ends_at_ms` > `starts_at_ms`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `coupons` WRITE;
/*!40000 ALTER TABLE `coupons` DISABLE KEYS */;
INSERT INTO `coupons` VALUES
(13936266758717,146338441489361,0x676F6E65,6,100,0x6120636F75706F6E,0,0,2,0,0x3E74BA296B5D5EFAFDFD32C3DD4A8CDD,1,3,0,1,1795851020851,0,0,1,0,'',1,'',0,0,0),
(148686772178481,146338441489361,0x6F70656E,60,100,0x6120636F75706F6E,0,0,4,0,0x1F8FAB1F868F8963B661901AE5877E7C,1,12,0,1,1795851020838,0,0,1,0,'',1,'',0,0,0),
(177978751859602,146338441489361,0x7570636F6D696E67,10,100,0x6120636F75706F6E,3000000000000,0,2,0,0x04AC4F056399B99C645353290262361C,1,0,0,1,1795851020863,0,0,1,0,'',1,'',0,0,0),
(183821497317411,146338441489361,0x70616964,8,100,0x6120636F75706F6E,0,0,2,3600,0x569B0B332705525888A7DB30741282AC,1,4,0,1,1795851020885,0,0,1,0,'',1,'',0,0,0),
(204814839002331,146338441489361,0x756E746F7563686564,10,100,0x6120636F75706F6E,0,0,3,0,0x9DC3CA4E474CF213F4E2226925A46452,1,0,0,1,1795851020874,0,0,1,0,'',1,'',0,0,0);
/*!40000 ALTER TABLE `coupons` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `dead_letters`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `dead_letters` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `coupon_id` bigint(20) NOT NULL,
  `segment` smallint(5) unsigned NOT NULL,
  `seq` bigint(20) DEFAULT NULL,
  `record` varbinary(4096) NOT NULL,
  `digest` binary(32) NOT NULL,
  `reason` varbinary(255) NOT NULL,
  `at_ms` bigint(20) NOT NULL,
  `state` tinyint(3) unsigned NOT NULL DEFAULT 0 COMMENT '0 open, 1 became an order, 2 dropped, 3 its unit was sold again',
  `ended_at_ms` bigint(20) DEFAULT NULL,
  `end_reason` varbinary(255) DEFAULT NULL COMMENT 'why it was dropped',
  PRIMARY KEY (`id`),
  UNIQUE KEY `dead_letters_record` (`coupon_id`,`segment`,`digest`),
  KEY `dead_letters_state` (`state`,`id`),
  KEY `dead_letters_seq` (`coupon_id`,`segment`,`seq`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `dead_letters` WRITE;
/*!40000 ALTER TABLE `dead_letters` DISABLE KEYS */;
INSERT INTO `dead_letters` VALUES
(1,148686772178481,3,1,0x317C39333834353530333238383035327C31373935383531303230393035,0x312CF6E04BE93A2A3E71DC8629AD041590B133506E36D11886D9BE6A014F7023,0x4D7953514C206572726F7220313036323A204475706C696361746520656E74727920273134383638363737323137383438312D39333834353530333238383035322D312720666F72206B657920276F72646572735F6C6976655F756E697427,1795851021006,0,NULL,NULL),
(2,148686772178481,1,NULL,0x6E6F206F72646572,0x25677DAE3731DC0DAC03BE5D27E17544006835407053F0CA1E81EF20A4CC3C53,0x6E6F7420616E206F72646572207265636F7264,1795851021206,0,NULL,NULL);
/*!40000 ALTER TABLE `dead_letters` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `drain_cursors`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `drain_cursors` (
  `coupon_id` bigint(20) NOT NULL,
  `segment` smallint(5) unsigned NOT NULL,
  `next_number` bigint(20) NOT NULL DEFAULT 1 COMMENT 'of this base, everything below is committed or a dead letter',
  `base` bigint(20) NOT NULL DEFAULT 0 COMMENT 'the highest that was handed out',
  PRIMARY KEY (`coupon_id`,`segment`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `drain_cursors` WRITE;
/*!40000 ALTER TABLE `drain_cursors` DISABLE KEYS */;
INSERT INTO `drain_cursors` VALUES
(13936266758717,0,3,0),
(13936266758717,1,2,0),
(148686772178481,0,7,0),
(148686772178481,2,4,0),
(148686772178481,3,5,0),
(183821497317411,0,4,0),
(183821497317411,1,2,0);
/*!40000 ALTER TABLE `drain_cursors` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `number_ranges`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `number_ranges` (
  `coupon_id` bigint(20) NOT NULL,
  `segment` smallint(5) unsigned NOT NULL,
  `base` bigint(20) NOT NULL,
  `count` bigint(20) NOT NULL,
  PRIMARY KEY (`coupon_id`,`segment`,`base`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `number_ranges` WRITE;
/*!40000 ALTER TABLE `number_ranges` DISABLE KEYS */;
/*!40000 ALTER TABLE `number_ranges` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `orders`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `orders` (
  `coupon_id` bigint(20) NOT NULL,
  `segment` smallint(5) unsigned NOT NULL,
  `seq` bigint(20) NOT NULL COMMENT 'above the base of one of the segment''s ranges',
  `user_id` bigint(20) NOT NULL,
  `status` tinyint(3) unsigned NOT NULL COMMENT '1 pending, 2 paid, 3 cancelled, 4 expired, 5 confirmed',
  `claimed_at_ms` bigint(20) NOT NULL,
  `confirmed_at_ms` bigint(20) NOT NULL,
  `live_user` bigint(20) GENERATED ALWAYS AS (case when `status` in (1,2,5) then `user_id` end) STORED,
  `unit` tinyint(3) unsigned NOT NULL DEFAULT 1 COMMENT 'which one of its customer and coupon',
  `promotion` bigint(20) DEFAULT NULL COMMENT 'of the waiting list',
  `pay_by_ms` bigint(20) NOT NULL DEFAULT 0 COMMENT '0: any time',
  `unreleased` tinyint(3) unsigned DEFAULT NULL COMMENT '1: over, and its unit is not on sale again yet',
  PRIMARY KEY (`coupon_id`,`segment`,`seq`),
  UNIQUE KEY `orders_live_unit` (`coupon_id`,`live_user`,`unit`),
  KEY `orders_user_claimed` (`user_id`,`claimed_at_ms`),
  CONSTRAINT `orders_seq` CHECK (`seq` >= 1),
  CONSTRAINT `orders_status` CHECK (`status` between 1 and 5)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `orders` WRITE;
/*!40000 ALTER TABLE `orders` DISABLE KEYS */;
INSERT INTO `orders` VALUES
(13936266758717,0,1,118591222127054,1,1795851021229,1795851021419,118591222127054,1,NULL,0,NULL),
(13936266758717,0,2,77366882880717,1,1795851021229,1795851021419,77366882880717,1,NULL,0,NULL),
(13936266758717,1,1,186409208650709,1,1795851021228,1795851021419,186409208650709,1,NULL,0,NULL),
(148686772178481,0,1,118591222127054,1,1795851021221,1795851021410,118591222127054,1,NULL,0,NULL),
(148686772178481,0,2,77366882880717,1,1795851021222,1795851021410,77366882880717,1,NULL,0,NULL),
(148686772178481,0,3,8630122360513,1,1795851021225,1795851021411,8630122360513,1,NULL,0,NULL),
(148686772178481,0,4,159142302392873,1,1795851021226,1795851021411,159142302392873,1,NULL,0,NULL),
(148686772178481,0,5,28774143783500,1,1795851021226,1795851021411,28774143783500,1,NULL,0,NULL),
(148686772178481,0,6,8285279697823,1,1795851021227,1795851021411,8285279697823,1,NULL,0,NULL),
(148686772178481,2,1,186409208650709,1,1795851021220,1795851021410,186409208650709,1,NULL,0,NULL),
(148686772178481,2,2,240758654363329,1,1795851021223,1795851021410,240758654363329,1,NULL,0,NULL),
(148686772178481,2,3,265803342590813,1,1795851021227,1795851021410,265803342590813,1,NULL,0,NULL),
(148686772178481,3,2,174415815076250,1,1795851021223,1795851021410,174415815076250,1,NULL,0,NULL),
(148686772178481,3,3,1923532262838,1,1795851021224,1795851021410,1923532262838,1,NULL,0,NULL),
(148686772178481,3,4,156805845676040,1,1795851021224,1795851021410,156805845676040,1,NULL,0,NULL),
(183821497317411,0,1,118591222127054,1,1795851021230,1795851021411,118591222127054,1,NULL,0,NULL),
(183821497317411,0,2,77366882880717,1,1795851021231,1795851021411,77366882880717,1,NULL,0,NULL),
(183821497317411,0,3,240758654363329,1,1795851021232,1795851021411,240758654363329,1,NULL,0,NULL),
(183821497317411,1,1,186409208650709,1,1795851021230,1795851021411,186409208650709,1,NULL,0,NULL);
/*!40000 ALTER TABLE `orders` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `revocations`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `revocations` (
  `token_id` binary(8) NOT NULL COMMENT 'HEX() of it is the jti',
  `expires_at_s` bigint(20) NOT NULL COMMENT 'exp, seconds since 1970 UTC',
  PRIMARY KEY (`token_id`),
  KEY `revocations_expiry` (`expires_at_s`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `revocations` WRITE;
/*!40000 ALTER TABLE `revocations` DISABLE KEYS */;
/*!40000 ALTER TABLE `revocations` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `schema_migrations`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `schema_migrations` (
  `version` int(10) unsigned NOT NULL,
  `name` varbinary(255) NOT NULL,
  `applied_at` datetime(3) NOT NULL DEFAULT current_timestamp(3),
  PRIMARY KEY (`version`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `schema_migrations` WRITE;
/*!40000 ALTER TABLE `schema_migrations` DISABLE KEYS */;
INSERT INTO `schema_migrations` VALUES
(1,0x3030315F736368656D61,'2026-11-28 07:30:20.487'),
(2,0x3030325F646561645F6C657474657273,'2026-11-28 07:30:20.493'),
(3,0x3030335F72616E646F6D5F696473,'2026-11-28 07:30:20.497'),
(4,0x3030345F7265766F636174696F6E73,'2026-11-28 07:30:20.500'),
(5,0x3030355F71756F746173,'2026-11-28 07:30:20.505'),
(6,0x3030365F6C61796F757432,'2026-11-28 07:30:20.526');
/*!40000 ALTER TABLE `schema_migrations` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `unpublished_coupons`;
/*!50001 DROP VIEW IF EXISTS `unpublished_coupons`*/;
SET @saved_cs_client     = @@character_set_client;
SET character_set_client = utf8mb4;
/*!50001 CREATE VIEW `unpublished_coupons` AS SELECT
 NULL AS `id`,
 NULL AS `segments`,
 NULL AS `created_at_ms` */;
SET character_set_client = @saved_cs_client;
DROP TABLE IF EXISTS `users`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `users` (
  `id` bigint(20) NOT NULL COMMENT '48 random bits; smaller ones were counted',
  `name` varbinary(240) NOT NULL,
  `kind` tinyint(3) unsigned NOT NULL COMMENT '1 customer, 2 seller',
  `password` varbinary(255) NOT NULL COMMENT 'as crypt(5) writes it; ! is a user who cannot log in',
  `created_at` datetime(3) NOT NULL DEFAULT current_timestamp(3),
  PRIMARY KEY (`id`),
  UNIQUE KEY `users_name` (`name`),
  CONSTRAINT `users_kind` CHECK (`kind` in (1,2))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `users` WRITE;
/*!40000 ALTER TABLE `users` DISABLE KEYS */;
INSERT INTO `users` VALUES
(1498825370318,0x616E6E61,1,0x2479246A3735244A6E474D524734752E4164716945716C7454476D593124645A46416B6B65624869665141343839474E3752505A49626A43414F714244385A423250435730334A3234,'2026-11-28 07:30:20.835'),
(1923532262838,0x63312D36,1,0x21,'2026-11-28 07:30:20.831'),
(8285279697823,0x63312D3132,1,0x21,'2026-11-28 07:30:20.831'),
(8630122360513,0x63312D38,1,0x21,'2026-11-28 07:30:20.831'),
(12521153286189,0x63312D3238,1,0x21,'2026-11-28 07:30:20.831'),
(16763279266783,0x63312D3338,1,0x21,'2026-11-28 07:30:20.831'),
(28774143783500,0x63312D3130,1,0x21,'2026-11-28 07:30:20.831'),
(32440148919912,0x63312D3237,1,0x21,'2026-11-28 07:30:20.831'),
(44256855252935,0x63312D3332,1,0x21,'2026-11-28 07:30:20.831'),
(49520480926939,0x63312D3134,1,0x21,'2026-11-28 07:30:20.831'),
(54084415145282,0x63312D3139,1,0x21,'2026-11-28 07:30:20.831'),
(74764370320764,0x63312D3336,1,0x21,'2026-11-28 07:30:20.831'),
(77366882880717,0x63312D33,1,0x21,'2026-11-28 07:30:20.831'),
(78132641173979,0x63312D3133,1,0x21,'2026-11-28 07:30:20.831'),
(84687992849719,0x63312D3236,1,0x21,'2026-11-28 07:30:20.831'),
(93845503288052,0x63312D3430,1,0x21,'2026-11-28 07:30:20.831'),
(118591222127054,0x63312D32,1,0x21,'2026-11-28 07:30:20.831'),
(119461030258384,0x63312D3337,1,0x21,'2026-11-28 07:30:20.831'),
(146338441489361,0x73686F70,2,0x2479246A3735247847685975764E686A786B544D65665A3041494745302457722F76514A5372504467625A44387A2F73322F674538394E397135626C2E776E466C4339574D43624837,'2026-11-28 07:30:20.821'),
(156805845676040,0x63312D37,1,0x21,'2026-11-28 07:30:20.831'),
(159142302392873,0x63312D39,1,0x21,'2026-11-28 07:30:20.831'),
(165366089739816,0x63312D3138,1,0x21,'2026-11-28 07:30:20.831'),
(174415815076250,0x63312D35,1,0x21,'2026-11-28 07:30:20.831'),
(183529001241155,0x63312D3230,1,0x21,'2026-11-28 07:30:20.831'),
(184237256793119,0x63312D3335,1,0x21,'2026-11-28 07:30:20.831'),
(186409208650709,0x63312D31,1,0x21,'2026-11-28 07:30:20.831'),
(191464805974707,0x63312D3233,1,0x21,'2026-11-28 07:30:20.831'),
(201097794855584,0x63312D3239,1,0x21,'2026-11-28 07:30:20.831'),
(206978659632806,0x63312D3334,1,0x21,'2026-11-28 07:30:20.831'),
(209563599967911,0x63312D3330,1,0x21,'2026-11-28 07:30:20.831'),
(214343158106166,0x63312D3331,1,0x21,'2026-11-28 07:30:20.831'),
(217573148869075,0x63312D3135,1,0x21,'2026-11-28 07:30:20.831'),
(222113714547833,0x63312D3136,1,0x21,'2026-11-28 07:30:20.831'),
(237123854893122,0x63312D3333,1,0x21,'2026-11-28 07:30:20.831'),
(240758654363329,0x63312D34,1,0x21,'2026-11-28 07:30:20.831'),
(245493943037862,0x63312D3235,1,0x21,'2026-11-28 07:30:20.831'),
(252014004722272,0x63312D3339,1,0x21,'2026-11-28 07:30:20.831'),
(265803342590813,0x63312D3131,1,0x21,'2026-11-28 07:30:20.831'),
(265944909106778,0x63312D3231,1,0x21,'2026-11-28 07:30:20.831'),
(267353117082797,0x63312D3232,1,0x21,'2026-11-28 07:30:20.831'),
(272957165602787,0x63312D3234,1,0x21,'2026-11-28 07:30:20.831'),
(277744411300674,0x63312D3137,1,0x21,'2026-11-28 07:30:20.831');
/*!40000 ALTER TABLE `users` ENABLE KEYS */;
UNLOCK TABLES;
/*!50001 DROP VIEW IF EXISTS `unpublished_coupons`*/;
/*!50001 SET @saved_cs_client          = @@character_set_client */;
/*!50001 SET @saved_cs_results         = @@character_set_results */;
/*!50001 SET @saved_col_connection     = @@collation_connection */;
/*!50001 SET character_set_client      = utf8mb4 */;
/*!50001 SET character_set_results     = utf8mb4 */;
/*!50001 SET collation_connection      = utf8mb4_general_ci */;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`seckill_owner`@`localhost` SQL SECURITY DEFINER */
/*!50001 VIEW `unpublished_coupons` AS select `coupons`.`id` AS `id`,`coupons`.`segments` AS `segments`,`coupons`.`created_at_ms` AS `created_at_ms` from `coupons` where `coupons`.`published` = 0 */;
/*!50001 SET character_set_client      = @saved_cs_client */;
/*!50001 SET character_set_results     = @saved_cs_results */;
/*!50001 SET collation_connection      = @saved_col_connection */;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

