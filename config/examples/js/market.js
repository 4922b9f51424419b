// Market prices by USSD, on vumi's toolkit for JavaScript (vumigo_v02).
//
// Shows a menu, a question with a free answer, choices, a request to a web service, what is kept
// between messages, contacts and groups, figures, and what happens when somebody hangs up and when
// the network has taken a message. market.yaml tells how it is run.

var vumigo = require('vumigo_v02');

var App = vumigo.App;
var Choice = vumigo.states.Choice;
var ChoiceState = vumigo.states.ChoiceState;
var EndState = vumigo.states.EndState;
var FreeText = vumigo.states.FreeText;
var JsonApi = vumigo.http.api.JsonApi;
var MenuState = vumigo.states.MenuState;

var CROPS = ['Maize', 'Beans', 'Cassava'];
var GROUP = 'farmers';

var MarketApp = App.extend(function (self) {
    App.call(self, 'states:start', {
        // Not in init(): that is not called when it is the network that has something to tell.
        events: {
            'im session:close': function (e) { return self.count_end(e); },
            'im inbound_event': function (e) { return self.count_event(e); }
        }
    });
    var $ = self.$;

    self.init = function () {
        self.http = new JsonApi(self.im);
    };

    // Figures

    self.count_end = function (e) {
        // The user has hung up, or we have said good-bye.
        return self.im.metrics.fire.inc(e.user_terminated ? 'hung_up' : 'finished');
    };

    self.count_event = function (e) {
        // The toolkit's figures are not set up here: the key is our own.
        return self.im.api_request('kv.incr', {key: 'market.' + e.event.event_type});
    };

    // Contacts

    self.register = function (name) {
        return self.im.groups.get(GROUP, {create: true}).then(function (group) {
            self.contact.name = name;
            self.contact.groups = [group.key];
            return self.im.contacts.save(self.contact);
        });
    };

    // Prices

    self.price_of = function (crop) {
        return self.http
            .get(self.im.config.prices_url + '/' + crop.toLowerCase() + '.json')
            .then(function (response) { return response.data; });
    };

    // States

    self.states.add('states:start', function () {
        return self.im.contacts.for_user().then(function (contact) {
            self.contact = contact;
            return self.states.create(contact.name ? 'states:menu' : 'states:name');
        });
    });

    self.states.add('states:name', function (name) {
        return new FreeText(name, {
            question: $('Welcome to the market. What is your name?'),
            check: function (content) {
                if (!/^\S.{1,30}$/.test(content.trim())) {
                    return $('A name has 2 to 30 letters. What is your name?');
                }
            },
            next: function (content) {
                return self.im.contacts.for_user().then(function (contact) {
                    self.contact = contact;
                    return self.register(content.trim());
                }).thenResolve('states:menu');
            }
        });
    });

    self.states.add('states:menu', function (name) {
        return self.im.contacts.for_user().then(function (contact) {
            return new MenuState(name, {
                question: $('Hello {{name}}. What would you like to do?')
                    .context({name: contact.name}),
                choices: [
                    new Choice('states:crop', $('Ask for a price')),
                    new Choice('states:mine', $('See what you asked for')),
                    new Choice('states:end', $('Leave'))
                ]
            });
        });
    });

    self.states.add('states:crop', function (name) {
        return new ChoiceState(name, {
            question: $('Which crop?'),
            choices: CROPS.map(function (crop) { return new Choice(crop, crop); }),
            next: function (choice) {
                return self.im.metrics.fire.inc('asked.' + choice.value.toLowerCase())
                    .thenResolve({name: 'states:price', creator_opts: {crop: choice.value}});
            }
        });
    });

    self.states.add('states:price', function (name, opts) {
        return self.price_of(opts.crop).then(function (price) {
            return $('{{crop}}: {{amount}} {{currency}} for {{unit}}.')
                .context({crop: opts.crop, amount: price.amount, currency: price.currency,
                          unit: price.unit});
        }, function () {
            return $('There is no price for {{crop}} today.').context({crop: opts.crop});
        }).then(function (text) {
            return new MenuState(name, {
                question: text,
                choices: [
                    new Choice('states:crop', $('Another crop')),
                    new Choice('states:end', $('Leave'))
                ]
            });
        });
    });

    self.states.add('states:mine', function (name) {
        return new EndState(name, {
            text: $('You last asked for {{crop}}.')
                .context({crop: self.im.user.answers['states:crop'] || 'nothing'}),
            next: 'states:start'
        });
    });

    self.states.add('states:end', function (name) {
        return new EndState(name, {text: $('Good-bye.'), next: 'states:start'});
    });
});

// In a sandbox there is an api; in a test there is none, but there are modules.
if (typeof api !== 'undefined') { vumigo.interact(api, MarketApp); }
if (typeof module !== 'undefined') { module.exports = {MarketApp: MarketApp}; }
