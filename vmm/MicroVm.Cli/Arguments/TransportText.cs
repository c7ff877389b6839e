namespace MicroVm.Cli.Arguments;

/// <summary>The word for how a virtio device is attached.</summary>
internal static class TransportText
{
    internal static VirtioTransport Parse(string text, OptionValue value) => text switch
    {
        "mmio" => VirtioTransport.Mmio,
        "pci" => VirtioTransport.Pci,
        _ => throw value.Bad("a transport that does not exist", "Give mmio or pci"),
    };
}
