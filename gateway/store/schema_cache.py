"""What exists in the public schema: tables with column types, functions with arguments."""

from dataclasses import dataclass

# One row per table and per function, as JSON text; partitions and private helpers are not here.
CATALOGUE = """
select json_build_object(
    'tables', (
        select coalesce(json_object_agg(relname, columns), '{}') from (
            select class.relname,
                   json_object_agg(attname, format_type(atttypid, atttypmod)) as columns
              from pg_catalog.pg_class as class
              join pg_catalog.pg_attribute on attrelid = class.oid
             where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v')
               and attnum > 0 and not attisdropped
             group by class.relname
        ) as listed
    ),
    'functions', (
        select coalesce(json_object_agg(proname, signature), '{}') from (
            select proname, json_build_object(
                'arguments', (
                    select coalesce(json_object_agg(name, format_type(type, null)), '{}')
                      from unnest(
                        proargnames[1:pronargs], string_to_array(proargtypes::text, ' ')::oid[]
                      ) as argument (name, type)
                ),
                'required', pronargs - pronargdefaults,
                'order', coalesce(proargnames[1:pronargs], '{}'),
                'returns_set', proretset,
                'returns_void', prorettype = 'void'::regtype
            ) as signature
              from pg_catalog.pg_proc
             where pronamespace = 'public'::regnamespace and prokind = 'f'
               and prorettype <> 'trigger'::regtype
               -- arguments are given by name, so a function with unnamed ones cannot be called
               and (pronargs = 0 or coalesce('' <> all(proargnames[1:pronargs]), false))
        ) as listed
    )
)::text
"""


@dataclass(frozen=True, slots=True)
class Function:
    """Signature of one function; `required` arguments come first in `order`."""

    arguments: dict[str, str]
    order: list[str]
    required: int
    returns_set: bool
    returns_void: bool


@dataclass(frozen=True, slots=True)
class Schema:
    """Types by table and column, and functions by name."""

    tables: dict[str, dict[str, str]]
    functions: dict[str, Function]
