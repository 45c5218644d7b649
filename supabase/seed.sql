-- Nothing is needed for a working installation: plans come with the migrations, the demo API
-- with the first start. A local stack gets the plans' limits reset to what is advertised.
update public.plans
   set limits = advertised.limits
  from (values
    ('free', '{"hour": 100}'::jsonb),
    ('pro', '{"hour": 1000}'::jsonb),
    ('enterprise', '{"hour": 10000}'::jsonb)
  ) as advertised (name, limits)
 where plans.name = advertised.name;
