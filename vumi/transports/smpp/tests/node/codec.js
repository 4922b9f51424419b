// Reads and writes PDUs with the npm package "smpp": a question of JSON in each line, and an
// answer of JSON in each line. {"decode": hex} gives fields; {"encode": [command, fields]} gives
// hex. Octets are {"hex": digits}.
'use strict';
const readline = require('readline');
const smpp = require('smpp');

const fromJson = (key, value) =>
  value && typeof value === 'object' && typeof value.hex === 'string'
    ? Buffer.from(value.hex, 'hex')
    : value;

// Before the package looks into short messages: only their octets are compared.
smpp.filters.message.decode = (value) => value;
smpp.filters.message.encode = (value) => value;

function answer(question) {
  if (question.decode) {
    return fields(new smpp.PDU(question.decode));
  }
  const [command, options] = question.encode;
  return { hex: new smpp.PDU(command, options).toBuffer().toString('hex') };
}

function fields(pdu) {
  const result = {};
  for (const key of Object.keys(pdu)) {
    result[key] = Buffer.isBuffer(pdu[key]) ? { hex: pdu[key].toString('hex') } : pdu[key];
  }
  return result;
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  let result;
  try {
    result = answer(JSON.parse(line, fromJson));
  } catch (error) {
    result = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(result) + '\n');
});
