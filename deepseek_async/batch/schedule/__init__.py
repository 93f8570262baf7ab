"""Which row goes next and when: order by shared prefix, hours by price."""
