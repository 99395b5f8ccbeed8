// What applications do with mysql2: queries, prepared statements, pools, streams, errors, several statements in one text.
// Everything that it prints must be the same with any server.
const mysql = require('mysql2/promise')
const raw = require('mysql2')
const where = JSON.parse(process.env.CLIENT_PLACE)
// What the server under test does not offer yet is left out of both runs.
const leftOut = (process.env.CLIENT_LEFT_OUT || '').split(',')
const info = result => leftOut.includes('info') ? '' : result.info
const say = (what, value) => console.log(what, JSON.stringify(value))
const columns = fields => fields.map(f => [f.name, f.columnType ?? f.type, f.flags, f.characterSet, f.decimals, f.table])
const failed = async (what, work) => {
  try { say(what, await work()) } catch (error) { say(what, [error.code, error.errno, error.sqlState, error.sqlMessage]) }
}

async function main() {
  const one = await mysql.createConnection({ ...where, multipleStatements: true, dateStrings: true, supportBigNumbers: true })
  await one.query('DROP TABLE IF EXISTS n_people, n_times')
  await one.query('CREATE TABLE n_people (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40), big BIGINT UNSIGNED, ' +
    'price DECIMAL(10,2), born DATE, at DATETIME(3), doc ' + (leftOut.includes('json') ? 'TEXT' : 'JSON') + ', raw VARBINARY(20), flag TINYINT(1), bits BIT(4), f DOUBLE)' + (process.env.CLIENT_SHARDED || ''))
  const [made] = await one.query('INSERT INTO n_people (name, big, price, born, at, doc, raw, flag, bits, f) VALUES ?', [[
    ['Ä', '18446744073709551615', '1.10', '2020-01-02', '2020-01-02 03:04:05.678', '{"a":[1,2]}', Buffer.from([0, 1, 255]), true, 5, 1.5],
    ["O'Neil", 1, '-0.01', null, null, null, null, false, 0, -2.25],
  ]])
  say('insert', [made.affectedRows, made.insertId, made.warningStatus, info(made)])
  const [rows, fields] = await one.query('SELECT * FROM n_people ORDER BY id')
  say('text', rows)
  say('columns', columns(fields))
  for (const id of [1, 2, 3, 1]) {
    const [found, names] = await one.execute('SELECT * FROM n_people WHERE id = ?', [id])
    say('prepared', found)
    if (id === 1) say('columns', columns(names))
  }
  for (const [name, big] of [['a', 5], [null, '7'], ['long'.repeat(9), null]]) {
    const [done] = await one.execute('INSERT INTO n_people (name, big, price) VALUES (?, ?, ?)', [name, big, '3.5'])
    say('execute insert', [done.affectedRows, done.insertId, info(done)])
  }
  const [changed] = await one.execute('UPDATE n_people SET price = price + ? WHERE id < ?', ['1', 3])
  say('update', [changed.affectedRows, changed.changedRows, info(changed)])
  const [several] = await one.query('SELECT 1 AS a; UPDATE n_people SET f = 0 WHERE id = 1; SELECT COUNT(*) AS n FROM n_people; DO 1')
  say('several', several.map(part => Array.isArray(part) ? part : [part.affectedRows, info(part)]))
  await failed('error in the middle', () => one.query('SELECT 1; SELECT nothing; SELECT 3'))
  await failed('unknown table', () => one.query('SELECT * FROM n_nothing'))
  await failed('syntax', () => one.query('SELEC 1'))
  await failed('duplicate', () => one.query('INSERT INTO n_people (id) VALUES (1)'))
  await failed('prepared error', () => one.execute('SELECT nothing FROM n_people WHERE id = ?', [1]))
  await failed('expression', () => one.execute('SELECT ? + ?', [1, 2]).then(([found]) => found))
  await one.beginTransaction()
  await one.query('DELETE FROM n_people')
  await one.rollback()
  say('after rollback', (await one.query('SELECT COUNT(*) AS n FROM n_people'))[0])
  await one.beginTransaction()
  await one.execute('UPDATE n_people SET name = ? WHERE id = ?', ['committed', 2])
  await one.commit()
  say('named', (await one.query({ sql: 'SELECT name FROM n_people WHERE id = :id', namedPlaceholders: true }, { id: 2 }))[0])
  say('arrays', (await one.query({ sql: 'SELECT id, name FROM n_people ORDER BY id LIMIT 2', rowsAsArray: true }))[0])
  say('nested', (await one.query({ sql: 'SELECT a.id, b.id FROM n_people a JOIN n_people b ON a.id = b.id ORDER BY a.id LIMIT 1', nestTables: true }))[0])
  await one.changeUser({ user: where.user, password: where.password, database: where.database })
  say('after changeUser', (await one.query('SELECT @x AS x, DATABASE() AS d'))[0])
  await one.query('SET @x = 5')
  await one.ping()
  await failed('reset', async () => { await one.reset?.(); return 'done' })
  await one.query("SET time_zone = '+03:00'")
  say('zone', (await one.query('SELECT @@time_zone AS z, FROM_UNIXTIME(0) AS t'))[0])
  await one.end()

  const pool = mysql.createPool({ ...where, connectionLimit: 4, maxIdle: 2, idleTimeout: 1000, enableKeepAlive: true, namedPlaceholders: true })
  const sums = await Promise.all(Array.from({ length: 40 }, (_, i) => pool.execute('SELECT :i * 2 AS v', { i }).then(([r]) => Number(r[0].v))))
  say('pool', sums)
  await Promise.all(Array.from({ length: 12 }, async (_, i) => {
    const held = await pool.getConnection()
    await held.beginTransaction()
    await held.query('INSERT INTO n_people (name, big) VALUES (?, ?)', ['pool', i])
    await (i % 3 ? held.commit() : held.rollback())
    held.release()
  }))
  say('pool rows', (await pool.query("SELECT COUNT(*) AS n, SUM(big) AS s FROM n_people WHERE name = 'pool'"))[0])
  await pool.end()

  const plain = raw.createConnection({ ...where })
  let count = 0
  await new Promise((resolve, reject) => {
    plain.query('WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 900) SELECT n, REPEAT(\'x\', 50) AS t FROM s')
      .stream({ highWaterMark: 5 }).on('data', () => { count++ }).on('end', resolve).on('error', reject)
  })
  say('stream', count)
  // Not awaited: the packets are sent one behind the other.
  const order = []
  await Promise.all([1, 2, 3, 4, 5].map(n => new Promise(resolve => plain.query('SELECT ? AS n', [n], (error, r) => { order.push(error ? error.code : r[0].n); resolve() }))))
  say('queue', order)
  await new Promise(resolve => plain.end(resolve))
}

main().then(() => process.exit(0), error => { console.log('FAILED', error); process.exit(1) })
