"""The state dict of an improved-diffusion U-Net, independent of diffjax."""


def shapes(widths, attends, layers, channels, classes=None):
    """Key -> shape of its state dict, built in the order of that code's constructor."""
    found, emb = {}, 4 * widths[0]

    def add(at, *shape):
        found[f"{at}.weight"], found[f"{at}.bias"] = shape, shape[:1]

    def add_resnet(at, before, after):
        add(f"{at}.in_layers.0", before)
        add(f"{at}.in_layers.2", after, before, 3, 3)
        add(f"{at}.emb_layers.1", 2 * after, emb)
        add(f"{at}.out_layers.0", after)
        add(f"{at}.out_layers.3", after, after, 3, 3)
        if before != after:
            add(f"{at}.skip_connection", after, before, 1, 1)

    def add_attention(at, width):
        add(f"{at}.norm", width)
        add(f"{at}.qkv", 3 * width, width, 1)
        add(f"{at}.proj_out", width, width, 1)

    add("time_embed.0", emb, widths[0])
    add("time_embed.2", emb, emb)
    if classes:
        found["label_emb.weight"] = (classes, emb)
    add("input_blocks.0.0", widths[0], channels[0], 3, 3)
    kept, width, k = [widths[0]], widths[0], 1
    for level, after in enumerate(widths):
        for _ in range(layers):
            add_resnet(f"input_blocks.{k}.0", width, after)
            if attends[level]:
                add_attention(f"input_blocks.{k}.1", after)
            width, k = after, k + 1
            kept.append(width)
        if level < len(widths) - 1:
            add(f"input_blocks.{k}.0.op", width, width, 3, 3)
            kept.append(width)
            k += 1
    add_resnet("middle_block.0", width, width)
    add_attention("middle_block.1", width)
    add_resnet("middle_block.2", width, width)
    k = 0
    for level in reversed(range(len(widths))):
        for i in range(layers + 1):
            add_resnet(f"output_blocks.{k}.0", width + kept.pop(), widths[level])
            width, place = widths[level], 1
            if attends[level]:
                add_attention(f"output_blocks.{k}.1", width)
                place = 2
            if level and i == layers:
                add(f"output_blocks.{k}.{place}.conv", width, width, 3, 3)
            k += 1
    add("out.0", width)
    add("out.2", channels[1], width, 3, 3)
    return found
