using MicroVm.Devices;
using Xunit;

namespace MicroVm.Tests.Virtio.VhostUser;

/// <summary>Counts the descriptors of this process, and so runs alone.</summary>
[Collection(nameof(DescriptorTests))]
[CollectionDefinition(nameof(DescriptorTests), DisableParallelization = true)]
public sealed class DescriptorTests
{
    [Fact]
    public void Whatever_a_backend_does_no_descriptor_is_left()
    {
        Round();
        int before = Descriptors();
        for (int i = 0; i < 3; i++) Round();
        Assert.True(GuestDriver.Eventually(() => Descriptors() <= before), $"{Descriptors()} descriptors, not {before}");

        static void Round()
        {
            Opening_ends(Manner.ManyFiles, VhostUserRequest.GetFeatures);
            Opening_ends(Manner.Close, VhostUserRequest.GetConfig);
            using TestBackend backend = new() { Protocol = (VhostUserProtocol)ulong.MaxValue };
            using VhostUserGuest guest = new(backend, disk: true);
            for (ushort i = 0; i < 5; i++)
            {
                Assert.True(guest.Transact(i));
                backend.Drop();
            }
        }

        static void Opening_ends(Manner manner, VhostUserRequest at)
        {
            using TestBackend backend = new() { Manners = r => r == at ? manner : Manner.Answer };
            try
            {
                using VhostUserGuest guest = new(backend, disk: true);
            }
            catch (MicroVmException)
            {
            }
        }
    }

    private static int Descriptors() => Directory.GetFiles("/proc/self/fd").Length;
}
